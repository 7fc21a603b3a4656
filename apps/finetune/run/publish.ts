/** The results of a run: the model or adapter saved, scored again, measured and reported. */
import type { CausalLM } from "tessera";
import { readReportImages, renderReport } from "@tessera/report";
import { join } from "node:path";
import { describeEnvironment, peakMemoryBytes } from "./environment.ts";
import { type Scored, scoreModel, type ScoreOptions } from "../score/evaluation.ts";
import { printAnswers, printScores } from "../score/outcome.ts";
import { formatJson, outputNames } from "./output_folder.ts";
import type { PreparedJob } from "./prepare.ts";
import { savedKind } from "./push.ts";
import type { Generation, RunRecord, SavedFiles } from "./record.ts";
import type { TrainedJob } from "./train.ts";

/** What is published of a run, and where. */
export interface PublishOptions extends Pick<ScoreOptions, "console" | "signal"> {
  /** The job. */
  readonly prepared: PreparedJob;
  /** The job as it is kept, with absolute paths. */
  readonly kept: RunRecord["config"];
  /** The name of the run. */
  readonly name: string;
  /** The folder for results, whose earlier results are gone. */
  readonly output: string;
  /** When the run began, as ISO 8601. */
  readonly startedAt: string;
  /** When it began, by `performance.now()`. */
  readonly start: number;
}

/** What was published. */
export interface Published {
  /** Everything that was measured. */
  readonly record: RunRecord;
  /** Whether the run is over: trained to its end, and scored where there is something to score it by. */
  readonly isOver: boolean;
}

/**
 * Saves what was trained before anything else can go wrong, scores it, and writes the measurements and the report.
 *
 * @throws {Error} when something cannot be written.
 */
export async function publish(lm: CausalLM, trained: TrainedJob, options: PublishOptions): Promise<Published> {
  const { prepared, kept, name, output, startedAt, start, console } = options;
  const { config, plan, heldOut, questions } = prepared;
  const { before, facts: training } = trained;
  // Merging adapters would change what is scored, so a whole model waits.
  const isAdapter = savedKind(config) === "adapter";
  let saved = isAdapter || training.interrupted ? await save(lm, prepared, output) : null;
  const after = heldOut && !training.interrupted ? await scoreAfter(lm, trained, options) : null;
  if (before && after) {
    printScores("Before → after training", [before, after], console);
    printAnswers(questions, [["before", before], ["after", after]], config, console);
  }
  saved ??= await save(lm, prepared, output);
  const record: RunRecord = {
    format: 1,
    name,
    startedAt,
    seconds: (performance.now() - start) / 1000,
    peakMemoryBytes: peakMemoryBytes(),
    plan,
    before: before?.score ?? null,
    after: after?.score ?? null,
    training,
    generations: generationsOf(prepared, before, after),
    saved,
    environment: describeEnvironment(config),
    config: kept,
  };
  await Deno.writeTextFile(join(output, outputNames.metrics), formatJson(record));
  await Deno.writeTextFile(
    join(output, outputNames.report),
    renderReport(record, await readReportImages(record.generations)),
  );
  return { record, isOver: !training.interrupted && (heldOut === null || after !== null) };
}

async function save(lm: CausalLM, { config }: PreparedJob, output: string): Promise<SavedFiles> {
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

async function folderBytes(folder: string): Promise<number> {
  let bytes = 0;
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (isFile) bytes += (await Deno.stat(join(folder, name))).size;
  }
  return bytes;
}

/** The score after training, or null when the work is ended early: training is done by then, and its results are worth keeping. */
async function scoreAfter(lm: CausalLM, { known }: TrainedJob, options: PublishOptions): Promise<Scored | null> {
  const { prepared: { config, heldOut, questions }, console, signal } = options;
  try {
    return await scoreModel(lm, heldOut!, questions, { config, console, signal, label: "After", known });
  } catch (error) {
    if (error === signal.reason && signal.aborted) return null;
    throw error;
  }
}

function generationsOf({ questions }: PreparedJob, before: Scored | null, after: Scored | null): Generation[] {
  return questions.map(({ prompt, image, expected }, i) => ({
    prompt,
    ...(image === null ? {} : { image: image.path }),
    expected,
    before: before!.answers[i]!,
    after: after?.answers[i] ?? null,
  }));
}
