/**
 * Benchmarks against peers: `deno task bench <name>`. Each runs Tessera and its peers in turn in the same run, so that what else the
 * machine does falls on all of them, and prints the ratios.
 */
import { formatTable, nearestName } from "@tessera/text";
import { generate } from "./generate.ts";
import { lora } from "./lora.ts";
import { partition } from "./partition.ts";
import { webgpu } from "./webgpu.ts";

/** One benchmark. */
interface Benchmark {
  /** What it compares, in one line. */
  readonly purpose: string;
  /** Runs it with the arguments after its name; false when a target was missed. */
  readonly run: (args: readonly string[]) => Promise<boolean>;
}

const benchmarks: Readonly<Record<string, Benchmark>> = { generate, lora, partition, webgpu };

const [name, ...rest] = Deno.args;
const benchmark = name === undefined || !Object.hasOwn(benchmarks, name) ? undefined : benchmarks[name];
if (benchmark === undefined) {
  const near = name === undefined ? null : nearestName(name, Object.keys(benchmarks));
  if (name !== undefined && name !== "--help") {
    console.error(`There is no benchmark "${name}"${near === null ? "" : `; did you mean "${near}"?`}\n`);
  }
  console.log("deno task bench <name> [options]\n");
  console.log(formatTable(Object.entries(benchmarks).map(([key, { purpose }]) => [key, purpose]), {
    columns: [{ header: "Name" }, { header: "Compares" }],
  }));
  Deno.exit(name === undefined || name === "--help" ? 0 : 2);
}
Deno.exit(await benchmark.run(rest) ? 0 : 1);
