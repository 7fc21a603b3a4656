/**
 * The command line that fine-tunes a model; without arguments the shipped one on the shipped data.
 *
 * ```sh
 * deno task finetune --help
 * ```
 *
 * @module
 */
import { openConsole, UsageError } from "@tessera/cli";
import { type Arguments, parseArguments } from "./job/command_line.ts";
import { formatHelp } from "./job/help.ts";
import { readJob } from "./job/job.ts";
import { runJob, type RunResult } from "./run/run.ts";

const exitCodes = { done: 0, failed: 1, misused: 2, ended: 130 } as const;

/** The reason of a signal that Ctrl-C gave. */
class EndedByHand extends Error {
  override name = "EndedByHand";
}

/** What a program reads on standard output: the plan, or the measurements without the long lists. */
function summarize({ output, plan, record, resume }: RunResult): unknown {
  if (record === null) return { output, plan };
  const { generations: _generations, training, ...rest } = record;
  const { steps, ...figures } = training;
  return { output, resume, ...rest, training: { ...figures, steps: steps.length, loss: steps.at(-1)?.loss ?? null } };
}

function describeError(error: unknown, isDebug: boolean): string {
  if (!(error instanceof Error)) return String(error);
  if (isDebug) return Deno.inspect(error);
  return `Error: ${error.message}`;
}

/** Runs with Ctrl-C and SIGTERM bound to a signal: the first one ends the work in order, the second one at once. */
async function withInterrupts<T>(run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  let first = 0;
  function onInterrupt(): void {
    // The terminal signals `deno task` too, which passes it on: one Ctrl-C arrives twice.
    if (controller.signal.aborted && performance.now() - first < 1000) return;
    if (controller.signal.aborted) Deno.exit(exitCodes.ended);
    first = performance.now();
    console.error("\nEnding after the step under way; Ctrl-C once more ends at once.");
    controller.abort(new EndedByHand("Ended by hand"));
  }
  // A machine that is about to be reclaimed sends SIGTERM.
  const signals = Deno.build.os === "windows" ? ["SIGINT"] as const : ["SIGINT", "SIGTERM"] as const;
  for (const name of signals) Deno.addSignalListener(name, onInterrupt);
  try {
    return await run(controller.signal);
  } finally {
    for (const name of signals) Deno.removeSignalListener(name, onInterrupt);
  }
}

async function run(args: Arguments): Promise<number> {
  const has = (name: Parameters<typeof args.switches.has>[0]) => args.switches.has(name);
  const terminal = openConsole({ json: has("json"), quiet: has("quiet") });
  if (has("help")) {
    terminal.announce(formatHelp(terminal.width, terminal.styles));
    return exitCodes.done;
  }
  const job = await readJob(args);
  const result = await withInterrupts((signal) =>
    runJob(job, { console: terminal, signal, overwrite: has("overwrite"), planOnly: has("plan") })
  );
  if (has("quiet") && result.record) terminal.announce(result.output);
  if (has("quiet") && result.resume !== null) terminal.announce(`Resume with: ${result.resume}`);
  if (has("json")) console.log(JSON.stringify(summarize(result)));
  return result.record?.training.interrupted || result.resume !== null ? exitCodes.ended : exitCodes.done;
}

/** Understands and runs a command line, and gives the exit code. */
export async function main(line: readonly string[]): Promise<number> {
  try {
    return await run(parseArguments(line));
  } catch (error) {
    if (error instanceof EndedByHand) {
      console.error("Ended by hand before training; nothing was saved.");
      return exitCodes.ended;
    }
    console.error(describeError(error, line.includes("--debug")));
    if (line.includes("--json") && error instanceof Error) {
      console.log(JSON.stringify({ error: { name: error.name, message: error.message } }));
    }
    return error instanceof UsageError ? exitCodes.misused : exitCodes.failed;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
