/**
 * A whole run: prepared, opened, trained, published.
 *
 * The order is such that what can fail early does: files are read and checked before weights are loaded, and the folder for
 * results is chosen before anything is computed.
 */
import { type CommandConsole, formatFacts } from "@tessera/cli";
import { formatCount } from "@tessera/text";
import { forgetRun, resumeCommandBefore, resumeCommandOf, type StoppedRun } from "./begun_run.ts";
import { downloadsOn } from "./downloads.ts";
import type { Job } from "../job/job.ts";
import { absolutePaths } from "../job/kept_job.ts";
import { openJob } from "./open.ts";
import { printResults, printResume } from "../score/outcome.ts";
import { chooseOutput, formatJson } from "./output_folder.ts";
import { describePlan } from "./plan.ts";
import { type PreparedJob, prepareJob } from "./prepare.ts";
import { publish } from "./publish.ts";
import { checkTarget, describeTarget, prepareTarget, pushResults, shareFinished } from "./push.ts";
import type { Plan, RunRecord } from "./record.ts";
import { trainJob } from "./train.ts";

/** How a job is run. */
export interface RunOptions {
  /** Where it prints to. */
  readonly console: CommandConsole;
  /** Ends it early: at once before training, after the step under way in training. */
  readonly signal: AbortSignal;
  /** Whether the folder for results may hold another run. */
  readonly overwrite: boolean;
  /** Whether to stop after the plan. */
  readonly planOnly: boolean;
  /** The folder that runs are kept in when the job names none; `runs` when absent. */
  readonly runs?: string;
}

/** What a run came to. */
export interface RunResult {
  /** The folder for results. */
  readonly output: string;
  /** What was to be done. */
  readonly plan: Plan;
  /** What was measured; null when only the plan was asked for. */
  readonly record: RunRecord | null;
  /** The command that resumes it; null when it is over. */
  readonly resume: string | null;
}

/**
 * Runs a job.
 *
 * @throws {Error} when any step of it fails, or the signal's reason when it is ended before training.
 */
export async function runJob(job: Job, options: RunOptions): Promise<RunResult> {
  const { config, output: asked, stopped, finished } = job;
  const { console, signal, overwrite, planOnly, runs = "runs" } = options;
  if (finished !== null && asked !== null) return await shareFinished(finished, config, asked, options);
  const startedAt = stopped?.begun.startedAt ?? new Date().toISOString();
  const start = performance.now();
  const output = stopped !== null && asked !== null
    ? asked
    : await chooseOutput({ output: asked, name: config.name, overwrite, runs });
  const prepared = await prepareJob(config, { reporter: downloadsOn(console, signal), signal });
  const { plan } = prepared;
  const target = await checkTarget(config, signal);
  printPlan(prepared, output, [...describeTarget(target, config), ...describeStopped(stopped)], console);
  const earlier = asked === null ? await resumeCommandBefore(output, runs, config.name) : null;
  if (earlier !== null) console.print(`\nAn earlier run was stopped; resume it with: ${earlier}`);
  if (planOnly) return { output, plan, record: null, resume: null };
  signal.throwIfAborted();

  const kept = await absolutePaths(config);
  const whenFits = () => prepareTarget(target, config, signal);
  const open = await openJob(prepared, { output, job: formatJson(kept), console, signal, whenFits });
  try {
    const parts = { prepared, kept, output, startedAt, console, signal };
    const trained = await trainJob(open.lm, { ...parts, stopped });
    await open.claim.prepare();
    const { interrupted, steps } = trained.facts;
    if (interrupted) console.print(`Ended by hand after ${steps.length} of ${plan.steps} steps`);
    const { record, isOver } = await publish(open.lm, trained, { ...parts, name: config.name, start });
    if (isOver) await forgetRun(output);
    printResults(record, output, console);
    const resume = isOver
      ? await pushResults(record, config, output, { console, signal })
      : await resumeCommandOf(output, null);
    printResume(resume, console);
    return { output, plan, record, resume };
  } finally {
    await open.close();
  }
}

function printPlan(
  { plan, config, backend: { name, reason } }: PreparedJob,
  output: string,
  more: readonly (readonly [label: string, value: string])[],
  console: CommandConsole,
): void {
  console.print(`${console.styles.bold(`Fine-tuning ${plan.model.name}`)}\n`);
  console.print(formatFacts([...describePlan(plan, config, output), ...more], console.width, console.styles));
  if (reason !== null) console.print(`\nBackend: ${name}, since ${reason}`);
}

/** What a plan tells people about a resumed run. */
function describeStopped(stopped: StoppedRun | null): (readonly [label: string, value: string])[] {
  if (stopped === null) return [];
  const { step, steps } = stopped.checkpoint;
  return [["Resumes", `after step ${formatCount(step)} of ${formatCount(steps)}`]];
}
