/**
 * A run that has begun to train, as it stands beside the checkpoints of its training: the job, and what was measured before, so
 * that it can resume in another process.
 */
import { UsageError } from "@tessera/cli";
import { checkJson, parseJson } from "@tessera/files";
import type { TrainingCheckpoint } from "@tessera/train";
import { type CheckpointOptions, lastCheckpoint } from "tessera";
import { join } from "node:path";
import { z } from "zod";
import { type Config, configSchema } from "../job/config.ts";
import type { Scored } from "../score/evaluation.ts";
import type { RunRecord } from "./record.ts";
import { outputNames, runFolder } from "./output_folder.ts";

/** A run that has begun to train. */
export interface BegunRun {
  /** The job, with absolute paths. */
  readonly config: Config;
  /** When it began, as ISO 8601. */
  readonly startedAt: string;
  /** The score before training; null without held-out examples. */
  readonly before: Scored | null;
  /** The steps after which it was resumed. */
  readonly resumedAfter: readonly number[];
}

/** A run to resume, and how far its training had come. */
export interface StoppedRun {
  /** The run. */
  readonly begun: BegunRun;
  /** Its last checkpoint. */
  readonly checkpoint: TrainingCheckpoint;
}

const share = z.number().min(0).max(1);
const count = z.int().min(0);

const schema = z.object({
  format: z.literal(1, "this version of Tessera reads format 1"),
  config: configSchema,
  startedAt: z.string(),
  before: z.object({
    score: z.object({
      loss: z.number(),
      tokenAccuracy: share,
      exactMatch: z.object({ right: count, total: count, share }).nullable(),
      boxes: z.object({ overlap: share, total: count }).nullable(),
      seconds: z.number(),
    }),
    answers: z.array(z.string()),
  }).nullable(),
  resumedAfter: z.array(count),
});

/** The folder of the checkpoints of a run. */
export function checkpointFolder(output: string): string {
  return join(output, outputNames.checkpoints);
}

function fileOf(output: string): string {
  return join(checkpointFolder(output), "run.json");
}

async function writeBegunRun(output: string, begun: BegunRun): Promise<void> {
  await Deno.mkdir(checkpointFolder(output), { recursive: true });
  const temporary = `${fileOf(output)}.new`;
  await Deno.writeTextFile(temporary, JSON.stringify({ format: 1, ...begun }, null, 2) + "\n");
  await Deno.rename(temporary, fileOf(output));
}

/**
 * Reads the run in a folder, to resume it.
 *
 * @throws {UsageError} when there is none with a checkpoint, or what is there is damaged.
 */
export async function readStoppedRun(output: string): Promise<StoppedRun> {
  const text = await readIfThere(fileOf(output));
  if (text === null) {
    throw new UsageError(
      `Cannot resume "${output}": there is no run with checkpoints; name the folder of one, such as runs/gemma2-tiny`,
    );
  }
  try {
    const { config, startedAt, before, resumedAfter } = checkJson(
      fileOf(output),
      parseJson(fileOf(output), text),
      schema,
    );
    const checkpoint = await lastCheckpoint(checkpointFolder(output));
    if (checkpoint !== null) return { begun: { config, startedAt, before, resumedAfter }, checkpoint };
  } catch (cause) {
    throw new UsageError(`Cannot resume "${output}": ${(cause as Error).message}`, { cause });
  }
  throw new UsageError(`Cannot resume "${output}": it was stopped before its first checkpoint; start it again`);
}

/**
 * Reads the measurements of the run in a folder, when it is over: when nothing is kept there to resume; `null` otherwise.
 *
 * @throws {UsageError} when they are damaged.
 */
export async function readFinishedRun(output: string): Promise<RunRecord | null> {
  const path = join(output, outputNames.metrics);
  if (await readIfThere(fileOf(output)) !== null) return null;
  const text = await readIfThere(path);
  if (text === null) return null;
  try {
    const record = parseJson(path, text);
    const { config } = checkJson(path, record, finishedSchema);
    return { ...record as RunRecord, config };
  } catch (cause) {
    throw new UsageError(`Cannot resume "${output}": ${(cause as Error).message}`, { cause });
  }
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return null;
    throw error;
  }
}

const finishedSchema = z.looseObject({
  format: z.literal(1, "this version of Tessera reads format 1"),
  config: configSchema,
  saved: z.looseObject({ kind: z.enum(["adapter", "model"]) }),
});

/**
 * Keeps a run beside its checkpoints as it is about to train, and gives where and how often its training is saved, from where it
 * resumes if it is one that was stopped; null when it is not to be saved.
 */
export async function keepRun(
  output: string,
  begun: BegunRun,
  stopped: StoppedRun | null,
): Promise<CheckpointOptions | null> {
  const folder = checkpointFolder(output);
  const { checkpoint } = begun.config;
  // What an earlier run left there, which this one may overwrite, or will never resume from.
  if (stopped === null) await removeFolder(folder);
  if (checkpoint === null && stopped === null) return null;
  await writeBegunRun(output, begun);
  const { everySteps = null, everyMinutes = null, keep } = checkpoint ?? {};
  return {
    folder,
    ...(everySteps === null ? {} : { everySteps }),
    everyMinutes: everyMinutes ?? Infinity,
    ...(keep === undefined ? {} : { keep }),
    resume: stopped !== null,
  };
}

/** Removes what is kept to resume a run that is over. */
export async function forgetRun(output: string): Promise<void> {
  await removeFolder(checkpointFolder(output));
}

/**
 * The command that resumes a run that is ending, where there is a checkpoint that is later than the one that it resumed from.
 * Where there is none at all, nothing of the run is kept.
 */
export async function resumeCommandOf(output: string, stopped: StoppedRun | null): Promise<string | null> {
  const last = await lastCheckpoint(checkpointFolder(output));
  if (last === null) await forgetRun(output);
  return last === null || last.step === stopped?.checkpoint.step ? null : resumeCommand(output);
}

/** The command that resumes the last run of a name that was stopped, of those that keep a new one from their folders; or null. */
export async function resumeCommandBefore(output: string, runs: string, name: string): Promise<string | null> {
  let command = null;
  for (let number = 1; runFolder(runs, name, number) !== output; number++) {
    const folder = runFolder(runs, name, number);
    const last = await lastCheckpoint(checkpointFolder(folder)).catch(() => null);
    if (last !== null) command = resumeCommand(folder);
  }
  return command;
}

async function removeFolder(folder: string): Promise<void> {
  try {
    await Deno.remove(folder, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** The command that resumes the run in a folder. */
export function resumeCommand(output: string): string {
  return `deno task finetune --resume ${/^[\w./-]+$/.test(output) ? output : JSON.stringify(output)}`;
}
