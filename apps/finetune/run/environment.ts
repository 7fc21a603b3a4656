/** Facts about the process and the machine. */
import process from "node:process";
import manifest from "../deno.json" with { type: "json" };
import type { Config } from "../job/config.ts";
import type { Environment } from "./record.ts";

/** Tessera's version. */
export const version: string = manifest.version;

/** Describes where a job runs. */
export function describeEnvironment({ backend, threads }: Config): Environment {
  return {
    tessera: version,
    deno: Deno.version.deno,
    system: `${Deno.build.os} ${Deno.build.arch}`,
    processors: navigator.hardwareConcurrency,
    backend,
    threads,
  };
}

/** The peak resident set size of the process, in bytes. */
export function peakMemoryBytes(): number {
  return Math.max(process.resourceUsage().maxRSS * 1024, Deno.memoryUsage().rss);
}
