/**
 * A whole run: plan, score, train, score again, save and report.
 *
 * The order is such that what can fail early does: files are read and checked before weights are loaded, and the folder for
 * results is chosen before anything is computed.
 */
import {
  adamW,
  type Backend,
  type BackendName,
  CausalLM,
  checkTrainingFits,
  chooseBackend,
  type Distribution,
  formatCount,
  openBackend,
  type Progress,
} from "tessera";
import { type Console, formatFacts } from "@tessera/cli";
import { join } from "node:path";
import { forgetRun, keepRun, resumeCommandBefore, resumeCommandOf, type StoppedRun } from "./begun_run.ts";
import type { Config } from "./config.ts";
import type { Question } from "./data.ts";
import { describeEnvironment, peakMemoryBytes } from "./environment.ts";
import { downloadsOn } from "./downloads.ts";
import { type Scored, scoreModel } from "./evaluation.ts";
import type { Job } from "./job.ts";
import { chooseOutput, type Claim, claimOutput, outputNames } from "./output_folder.ts";
import { describePlan, optimizerOptions } from "./plan.ts";
import { loraOptions, type PreparedJob, prepareJob } from "./prepare.ts";
import type { Generation, Plan, RunRecord, SavedFiles } from "./record.ts";
import { readPictures, renderReport } from "@tessera/report";
import { printAnswers, printResults, printResume, printScores } from "./outcome.ts";
import { checkTarget, describeTarget, prepareTarget, pushResults, savedKind, shareFinished } from "./push.ts";
import { trainModel } from "./training.ts";

/** How a job is run. */
export interface RunOptions {
  /** Where it prints to. */
  readonly console: Console;
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
  /** The command that goes on with it; null when it is over. */
  readonly resume: string | null;
}

/** The backend of a job, and why it is that one where the job leaves it open. */
async function backendOf(
  { backend }: Config,
): Promise<{ readonly name: BackendName; readonly reason: string | null }> {
  return backend === "auto" ? await chooseBackend() : { name: backend, reason: null };
}

/** The kind of the devices of each backend, by which meshes name them. */
const deviceKinds: Readonly<Record<BackendName, string>> = {
  cpu: "cpu",
  "onnx-cuda": "cuda",
  webgpu: "webgpu",
  "tfjs-cpu": "tfjs-cpu",
};

/** Loads the model of a job with its adapters, ready to be trained. */
async function loadModel(
  config: Config,
  { backend, distribution }: { readonly backend: Backend; readonly distribution: Distribution | null },
  console: Console,
  signal: AbortSignal,
): Promise<CausalLM> {
  const { preset, dtype, quantize } = config;
  let bar: Progress | undefined;
  try {
    const lm = await CausalLM.fromPreset(preset, {
      backend,
      dtype,
      distribution,
      ...(quantize === null ? {} : { quantize }),
      reporter: downloadsOn(console, signal),
      signal,
      onProgress: (loaded, total) => {
        signal.throwIfAborted();
        bar ??= console.progress("Loading", total, "tensors");
        bar.update(loaded);
      },
    });
    const lora = loraOptions(config);
    if (lora !== null) lm.enableLora(lora);
    return lm;
  } finally {
    bar?.done();
  }
}

/** Refuses, before any weight is read, batches that the backend's devices cannot take. */
async function checkFits(
  config: Config,
  plan: Plan,
  { backbone, distribution, backend, train }: Pick<PreparedJob, "backbone" | "distribution" | "train"> & {
    readonly backend: Backend;
  },
): Promise<void> {
  const { shapes } = train.dataset.statistics;
  const { batch, time } = shapes.reduce((most, shape) =>
    shape.batch * shape.time > most.batch * most.time ? shape : most
  );
  // An optimizer of its own: the other one keeps what it knows for the model that is trained.
  const optimizer = adamW(optimizerOptions(config, plan));
  await checkTrainingFits({ backbone, optimizer, batchSize: batch, length: time }, { backend, distribution });
}

async function folderBytes(folder: string): Promise<number> {
  let bytes = 0;
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (isFile) bytes += (await Deno.stat(join(folder, name))).size;
  }
  return bytes;
}

async function save(lm: CausalLM, config: Config, output: string): Promise<SavedFiles> {
  const kind = savedKind(config);
  const folder = join(output, outputNames[kind]);
  if (kind === "adapter") {
    await lm.saveAdapter(folder);
  } else {
    if (config.lora !== null) await lm.mergeLora();
    await lm.saveToPreset(folder);
  }
  return { kind, folder, bytes: await folderBytes(folder) };
}

function formatJson(value: unknown): string {
  return JSON.stringify(value, null, 2) + "\n";
}

function generationsOf(questions: readonly Question[], before: Scored | null, after: Scored | null): Generation[] {
  return questions.map(({ prompt, picture, expected }, i) => ({
    prompt,
    ...(picture === null ? {} : { image: picture.path }),
    expected,
    before: before!.answers[i]!,
    after: after?.answers[i] ?? null,
  }));
}

/** The job as it is kept with its results: paths are absolute, so that it can be run again from anywhere. */
async function absolutePaths(config: Config): Promise<Config> {
  const absolute = async (path: string) => path.includes("://") ? path : await realPath(path);
  const { data } = config;
  const heldOut = typeof data.heldOut === "string" ? await absolute(data.heldOut) : data.heldOut;
  const { output: _, ...rest } = config;
  return {
    ...rest,
    preset: await absolute(config.preset),
    data: { ...data, train: await absolute(data.train), heldOut },
  };
}

/** The path without links; the name of a preset, which is no path, stays as it is. */
async function realPath(path: string): Promise<string> {
  try {
    return await Deno.realPath(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return path;
    throw error;
  }
}

/**
 * Runs a job.
 *
 * @throws {Error} when anything of it cannot be done, or the signal's reason when it is ended before training.
 */
export async function runJob(
  { config, output: asked, stopped, finished }: Job,
  options: RunOptions,
): Promise<RunResult> {
  const { console, signal, overwrite, planOnly, runs = "runs" } = options;
  if (finished !== null && asked !== null) return await shareFinished(finished, config, asked, options);
  const startedAt = stopped?.begun.startedAt ?? new Date().toISOString();
  const start = performance.now();
  const output = stopped !== null && asked !== null
    ? asked
    : await chooseOutput({ output: asked, name: config.name, overwrite, runs });
  const { name: backendName, reason } = await backendOf(config);
  const { plan, backbone, distribution, train, heldOut, questions } = await prepareJob(
    config,
    deviceKinds[backendName],
    { reporter: downloadsOn(console, signal), signal },
  );
  const optimizer = adamW(optimizerOptions(config, plan));
  console.print(`${console.styles.bold(`Fine-tuning ${plan.model.name}`)}\n`);
  const target = await checkTarget(config, signal);
  const facts = [...describePlan(plan, config, output), ...describeTarget(target, config), ...describeStopped(stopped)];
  console.print(formatFacts(facts, console.width, console.styles));
  if (reason !== null) console.print(`\nBackend: ${backendName}, since ${reason}`);
  const earlier = asked === null ? await resumeCommandBefore(output, runs, config.name) : null;
  if (earlier !== null) console.print(`\nAn earlier run was stopped; what goes on with it: ${earlier}`);
  if (planOnly) return { output, plan, record: null, resume: null };
  signal.throwIfAborted();

  const kept = await absolutePaths(config);
  const { threads } = config;
  const backend = await openBackend(backendName, {
    ...(threads === null ? {} : { threads }),
    ...(distribution === null ? {} : { deviceCount: distribution.mesh.size }),
  });
  if (backend.about !== undefined) console.print(`\nRuns on ${backend.about}`);
  let claim: Claim | undefined;
  let lm: CausalLM | undefined;
  try {
    await checkFits(config, plan, { backbone, distribution, backend, train });
    await prepareTarget(target, config, signal);
    claim = await claimOutput(output, formatJson(kept));
    console.print();
    lm = await loadModel(config, { backend, distribution }, console, signal);
    const scoring = { config, console, signal };
    const before = stopped !== null
      ? stopped.begun.before
      : heldOut && await scoreModel(lm, heldOut, questions, { ...scoring, label: "Before" });
    if (before && stopped === null) {
      printScores("Before training", [before], console);
      printAnswers(questions, [["answer", before]], config, console);
      console.print();
    }
    lm.compile({ optimizer, gradientAccumulationSteps: config.training.gradientAccumulationSteps });
    const resumedAfter = stopped === null ? [] : [...stopped.begun.resumedAfter, stopped.checkpoint.step];
    const checkpoint = await keepRun(output, { config: kept, startedAt, before, resumedAfter }, stopped);
    const parts = { config, plan, train, heldOut, before, console, checkpoint, resumedAfter, signal };
    const { facts: training, known } = await withResumeCommand(output, stopped, () => trainModel(lm!, parts));
    await claim.prepare();
    // What was learned is safe before anything else can go wrong; merging adapters would change what is scored, so it waits.
    const isAdapter = savedKind(config) === "adapter";
    if (training.interrupted) console.print(`Ended by hand after ${training.steps.length} of ${plan.steps} steps`);
    let saved = isAdapter || training.interrupted ? await save(lm, config, output) : null;
    const after = heldOut && !training.interrupted
      ? await scoreUnlessEnded(lm, heldOut, questions, { ...scoring, label: "After", known })
      : null;
    if (before && after) {
      printScores("Before → after training", [before, after], console);
      printAnswers(questions, [["before", before], ["after", after]], config, console);
    }
    saved ??= await save(lm, config, output);
    const isOver = !training.interrupted && (heldOut === null || after !== null);
    let resume = isOver ? null : await resumeCommandOf(output, null);
    const record: RunRecord = {
      format: 1,
      name: config.name,
      startedAt,
      seconds: (performance.now() - start) / 1000,
      peakMemoryBytes: peakMemoryBytes(),
      plan,
      before: before?.score ?? null,
      after: after?.score ?? null,
      training,
      generations: generationsOf(questions, before, after),
      saved,
      environment: describeEnvironment(config),
      config: kept,
    };
    await Deno.writeTextFile(join(output, outputNames.metrics), formatJson(record));
    await Deno.writeTextFile(
      join(output, outputNames.report),
      renderReport(record, await readPictures(record.generations)),
    );
    if (isOver) await forgetRun(output);
    printResults(record, output, console);
    if (isOver) resume = await pushResults(record, config, output, { console, signal });
    printResume(resume, console);
    return { output, plan, record, resume };
  } finally {
    await claim?.release();
    await lm?.dispose();
    backend.dispose();
  }
}

/** What a plan says to people of a run that goes on. */
function describeStopped(stopped: StoppedRun | null): (readonly [label: string, value: string])[] {
  if (stopped === null) return [];
  const { step, steps } = stopped.checkpoint;
  return [["Resumes", `after step ${formatCount(step)} of ${formatCount(steps)}`]];
}

/** Trains; an error says how to go on where there is a checkpoint that was not there before. */
async function withResumeCommand<T>(output: string, stopped: StoppedRun | null, train: () => Promise<T>): Promise<T> {
  try {
    return await train();
  } catch (error) {
    const command = await resumeCommandOf(output, stopped).catch(() => null);
    if (command === null || !(error instanceof Error)) throw error;
    const explained = new Error(`${error.message}\nGo on with: ${command}`, { cause: error });
    explained.name = error.name;
    throw explained;
  }
}

/** A score, or null when the work is ended early: training is done by then, and its results are worth keeping. */
async function scoreUnlessEnded(
  ...[lm, prepared, questions, options]: Parameters<typeof scoreModel>
): Promise<Scored | null> {
  try {
    return await scoreModel(lm, prepared, questions, options);
  } catch (error) {
    if (error === options.signal.reason && options.signal.aborted) return null;
    throw error;
  }
}
