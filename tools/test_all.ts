/**
 * Runs tests of every member through turbo and sums what they report: `deno task test` runs the quick ones, and
 * `deno task test:all` runs the slow ones as well, which are in files named `x_slow_test.ts`.
 *
 * The arguments are the scripts of the members to run, then flags for turbo, so `deno task test --filter=@tessera/core`
 * runs one package. turbo prints each member's own summary and no total. This prints the slowest tests and one closing
 * line, `12 passed, 0 failed`, and fails when a test fails, when none ran, or, where `CI` is set, when one was ignored.
 */
import { stripVTControlCharacters } from "node:util";
import { formatSlowest, readTimes } from "./test_times.ts";

const summary = /\b(?:ok|FAILED) \| (\d+) passed(?: \([^)]*\))? \| (\d+) failed(?: \([^)]*\))?(?: \| (\d+) ignored)?/;

/**
 * Flags for turbo by script. Quick tests run as `turbo.json` says, two members at a time; slow ones run one member at a time,
 * since they use all processors, take much memory, or measure either.
 */
const turboFlags: Readonly<Record<string, readonly string[]>> = { "test:slow": ["--concurrency=1"] };

/** How many tests there were, by outcome. */
export interface Tally {
  /** Tests that passed. */
  readonly passed: number;
  /** Tests that failed. */
  readonly failed: number;
  /** Tests that are marked to be ignored. */
  readonly ignored: number;
}

/** Sums the closing lines of all `deno test` runs in a log without colors. */
export function tally(log: string): Tally {
  const total = { passed: 0, failed: 0, ignored: 0 };
  for (const line of log.split("\n")) {
    const [, passed, failed, ignored] = summary.exec(line) ?? [];
    total.passed += Number(passed ?? 0);
    total.failed += Number(failed ?? 0);
    total.ignored += Number(ignored ?? 0);
  }
  return total;
}

/** Says why a run does not count as a success, or returns `null` if it does. `strict` refuses ignored tests. */
export function verdict({ passed, failed, ignored }: Tally, turboSucceeded: boolean, strict: boolean): string | null {
  if (failed > 0) return "Tests failed";
  if (!turboSucceeded) return "A package could not be tested; turbo says why above";
  if (passed === 0) return "No tests ran";
  if (strict && ignored > 0) return `CI allows no ignored tests: found ${ignored}`;
  return null;
}

/** Splits arguments into the scripts to run, which come first, and the flags for turbo. */
export function splitArguments(args: readonly string[]): { readonly scripts: string[]; readonly flags: string[] } {
  const flag = args.findIndex((arg) => arg.startsWith("-"));
  const end = flag < 0 ? args.length : flag;
  return { scripts: args.slice(0, end), flags: args.slice(end) };
}

/**
 * Drops turbo's warning that it found no lock file of npm: `deno.lock` is the lock file, and `turbo.json` makes it an
 * input of every task (`docs/decisions/0003`). The warning runs to the next empty line.
 */
export function createLineFilter(): (line: string) => boolean {
  let dropping = false;
  return (line) => {
    const text = stripVTControlCharacters(line).trim();
    if (/^WARNING .* attempting to parse .*package-lock\.json\b/.test(text)) dropping = true;
    else if (text === "") dropping = false;
    return !dropping;
  };
}

/** Copies the lines that a filter keeps to a stream of this process, and returns all of them. */
async function relay(from: ReadableStream<Uint8Array>, to: typeof Deno.stdout): Promise<string> {
  const [encoder, keep] = [new TextEncoder(), createLineFilter()];
  let [log, rest] = ["", ""];
  for await (const chunk of from.pipeThrough(new TextDecoderStream())) {
    log += chunk;
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (keep(line)) to.writeSync(encoder.encode(line + "\n"));
  }
  if (rest && keep(rest)) to.writeSync(encoder.encode(rest));
  return log;
}

/** Runs one script of every member; returns what they printed, without colors, and whether turbo succeeded. */
async function runScript(script: string, flags: readonly string[]): Promise<{ log: string; success: boolean }> {
  const colors = Deno.stdout.isTerminal() && !Deno.noColor;
  const turbo = new Deno.Command(Deno.build.os === "windows" ? "turbo.cmd" : "turbo", {
    args: ["run", script, "--continue", ...turboFlags[script] ?? [], ...flags],
    env: {
      DENO_NO_UPDATE_CHECK: "1",
      DO_NOT_TRACK: "1",
      npm_config_loglevel: "silent",
      ...(colors ? { FORCE_COLOR: "1" } : { NO_COLOR: "1" }),
    },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const [log, , { success }] = await Promise.all([
    relay(turbo.stdout, Deno.stdout),
    relay(turbo.stderr, Deno.stderr),
    turbo.status,
  ]);
  return { log: stripVTControlCharacters(log), success };
}

async function main(): Promise<number> {
  const { scripts, flags } = splitArguments(Deno.args);
  let [log, success] = ["", true];
  for (const script of scripts) {
    const run = await runScript(script, flags);
    log += run.log;
    success &&= run.success;
  }
  for (const line of formatSlowest(readTimes(log), 10)) console.log(line);
  const total = tally(log);
  const problem = verdict(total, success, Boolean(Deno.env.get("CI")));
  if (problem) console.error(problem);
  console.log(`${total.passed} passed, ${total.failed} failed`);
  return problem ? 1 : 0;
}

if (import.meta.main) Deno.exit(await main());
