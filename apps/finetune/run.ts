/**
 * A whole run: plan, score, train, score again, save and report.
 *
 * The order is such that what can fail early does: files are read and checked before weights are loaded, and the folder for
 * results is chosen before anything is computed.
 */
import {
  adamW,
  type Backend,
  CausalLM,
  formatBytes,
  formatCount,
  formatDuration,
  formatNumber,
  openBackend,
} from "tessera";
import { join } from "node:path";
import type { Config } from "./config.ts";
import type { Console } from "./console.ts";
import { type Prepared, prepareExamples, type Question, readExamplesOf } from "./data.ts";
import { describeEnvironment, peakMemoryBytes } from "./environment.ts";
import { chooseQuestions, type Scored, scoreModel } from "./evaluation.ts";
import type { Job } from "./job.ts";
import { chooseOutput, type Claim, claimOutput, outputNames } from "./output_folder.ts";
import { describePlan, makePlan, optimizerOptions } from "./plan.ts";
import type { Generation, Plan, RunRecord, SavedFiles, Score } from "./record.ts";
import { renderReport } from "./report/report.ts";
import { formatAnswer, formatFacts } from "./terminal.ts";
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
}

/** A model that is loaded, with its data: everything that a run works on. */
interface Workplace {
  readonly lm: CausalLM;
  readonly train: Prepared;
  readonly heldOut: Prepared | null;
  readonly questions: readonly Question[];
  readonly plan: Plan;
}

async function loadModel(
  { preset, dtype }: Config,
  backend: Backend,
  console: Console,
  signal: AbortSignal,
): Promise<CausalLM> {
  let bar: ReturnType<Console["progress"]> | null = null;
  try {
    return await CausalLM.fromPreset(preset, {
      backend,
      dtype,
      onProgress: (loaded, total) => {
        signal.throwIfAborted();
        bar ??= console.progress("Loading", total, "tensors");
        bar.update(loaded);
      },
    });
  } finally {
    (bar as ReturnType<Console["progress"]> | null)?.done();
  }
}

async function setUp(config: Config, backend: Backend, { console, signal }: RunOptions): Promise<Workplace> {
  const examples = await readExamplesOf(config);
  const lm = await loadModel(config, backend, console, signal);
  const { lora, training } = config;
  if (lora !== null) {
    const { rank, targets, layout } = lora;
    lm.enableLora({ rank, targets, layout, alpha: lora.alpha ?? rank, seed: training.seed });
  }
  const prepare = (part: typeof examples.train) => prepareExamples(part, lm.tokenizer, config, lm.contextLength);
  const train = await prepare(examples.train);
  const heldOut = examples.heldOut && await prepare(examples.heldOut);
  const plan = makePlan(lm, config, train, heldOut);
  return { lm, train, heldOut, plan, questions: heldOut ? chooseQuestions(heldOut, config) : [] };
}

/** What scores say to people, the earlier before the later. */
function describeScores(scores: readonly Score[]): [label: string, value: string][] {
  const values = (text: (score: Score) => string) => scores.map(text).join(" → ");
  const last = scores.at(-1)!.exactMatch;
  const matches = (score: Score) => `${((score.exactMatch?.share ?? 0) * 100).toFixed(1)} %`;
  return [
    ...(last
      ? [
        ["Exact match", `${values(matches)} · ${formatCount(last.right)} of ${formatCount(last.total)} answers`] as [
          string,
          string,
        ],
      ]
      : []),
    ["Loss", `${values(({ loss }) => formatNumber(loss))} per token`],
    ["Tokens", `${values(({ tokenAccuracy }) => `${(tokenAccuracy * 100).toFixed(1)} %`)} predicted right`],
  ];
}

function printScores(title: string, scored: readonly Scored[], console: Console): void {
  console.print(`\n${console.styles.bold(title)}`);
  console.print(formatFacts(describeScores(scored.map(({ score }) => score)), console.width, console.styles));
}

/** The answers that are printed: the first ones, by when they were given. */
function printAnswers(
  questions: readonly Question[],
  scored: readonly (readonly [when: string, scored: Scored])[],
  { evaluation }: Config,
  { print, width, styles }: Console,
): void {
  for (const [i, { prompt, expected }] of questions.slice(0, evaluation.samples).entries()) {
    const answers = scored.map(([when, { answers }]) => [when, answers[i]!] as const);
    print();
    print(formatAnswer({ prompt, expected, answers }, width, styles));
  }
}

async function folderBytes(folder: string): Promise<number> {
  let bytes = 0;
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (isFile) bytes += (await Deno.stat(join(folder, name))).size;
  }
  return bytes;
}

async function save(lm: CausalLM, { lora }: Config, output: string): Promise<SavedFiles> {
  const kind = lora?.layout === "peft" ? "adapter" : "model";
  const folder = join(output, outputNames[kind]);
  if (kind === "adapter") {
    await lm.saveAdapter(folder);
  } else {
    if (lora !== null) await lm.mergeLora();
    await lm.saveToPreset(folder);
  }
  return { kind, folder, bytes: await folderBytes(folder) };
}

function formatJson(value: unknown): string {
  return JSON.stringify(value, null, 2) + "\n";
}

const explained: Readonly<Record<SavedFiles["kind"], string>> = {
  adapter: "the adapter, as PEFT reads it",
  model: "the whole model, as Transformers reads it",
};

function printResults({ saved, seconds, peakMemoryBytes }: RunRecord, output: string, console: Console): void {
  console.print(`\n${console.styles.bold("Results")} in ${output}`);
  console.print(formatFacts(
    [
      [`${outputNames[saved.kind]}/`, `${explained[saved.kind]} · ${formatBytes(saved.bytes)}`],
      [outputNames.report, "what happened, with curves and answers: open it in a browser"],
      [outputNames.metrics, "everything measured"],
      [outputNames.config, "the job, to run again with --config"],
    ],
    console.width,
    console.styles,
  ));
  console.print(`\nTook ${formatDuration(seconds)} · peak memory ${formatBytes(peakMemoryBytes)}`);
}

function generationsOf(questions: readonly Question[], before: Scored | null, after: Scored | null): Generation[] {
  return questions.map(({ prompt, expected }, i) => ({
    prompt,
    expected,
    before: before!.answers[i]!,
    after: after?.answers[i] ?? null,
  }));
}

/** The job as it is kept with its results: paths are absolute, so that it can be run again from anywhere. */
async function absolutePaths(config: Config): Promise<Config> {
  const absolute = async (path: string) => path.includes("://") ? path : await Deno.realPath(path);
  const { data } = config;
  const heldOut = typeof data.heldOut === "string" ? await absolute(data.heldOut) : data.heldOut;
  const { output: _, ...rest } = config;
  return {
    ...rest,
    preset: await absolute(config.preset),
    data: { ...data, train: await absolute(data.train), heldOut },
  };
}

/**
 * Runs a job.
 *
 * @throws {Error} when anything of it cannot be done, or the signal's reason when it is ended before training.
 */
export async function runJob({ config, output: asked }: Job, options: RunOptions): Promise<RunResult> {
  const { console, signal, overwrite, planOnly, runs } = options;
  const startedAt = new Date().toISOString();
  const start = performance.now();
  const output = await chooseOutput({
    output: asked,
    name: config.name,
    overwrite,
    ...(runs === undefined ? {} : { runs }),
  });
  const { threads } = config;
  const backend = await openBackend(config.backend, threads === null ? {} : { threads });
  let workplace: Workplace | null = null;
  let claim: Claim | null = null;
  try {
    workplace = await setUp(config, backend, options);
    const { lm, train, heldOut, questions, plan } = workplace;
    console.print(`${console.styles.bold(`Fine-tuning ${plan.model.name}`)}\n`);
    console.print(formatFacts(describePlan(plan, config, output), console.width, console.styles));
    const optimizer = adamW(optimizerOptions(config, plan));
    if (planOnly) return { output, plan, record: null };
    const kept = await absolutePaths(config);
    claim = await claimOutput(output, formatJson(kept));

    const scoring = { config, console, signal };
    console.print();
    const before = heldOut && await scoreModel(lm, heldOut, questions, { ...scoring, label: "Before" });
    if (before) {
      printScores("Before training", [before], console);
      printAnswers(questions, [["answer", before]], config, console);
      console.print();
    }
    lm.compile({ optimizer, gradientAccumulationSteps: config.training.gradientAccumulationSteps });
    const { facts: training, known } = await trainModel(lm, { config, plan, train, heldOut, before, console, signal });
    await claim.prepare();
    // What was learned is safe before anything else can go wrong; merging adapters would change what is scored, so it waits.
    const isAdapter = config.lora?.layout === "peft";
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
    await Deno.writeTextFile(join(output, outputNames.report), renderReport(record));
    printResults(record, output, console);
    return { output, plan, record };
  } finally {
    await claim?.release();
    await workplace?.lm.dispose();
    backend.dispose();
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
