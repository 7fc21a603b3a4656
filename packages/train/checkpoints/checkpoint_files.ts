/**
 * Checkpoints of a training in a folder: `checkpoint-000120.safetensors` has what is trained and the optimizer's variables,
 * `checkpoint-000120.json` how far it had come.
 *
 * The tensors are written first, one in memory at a time, and the JSON last; each file appears under its name when it is whole,
 * so there is a checkpoint when there is its JSON. Older ones are removed only then, their JSON first. A program that is killed
 * anywhere leaves the last checkpoint as it was.
 */
import {
  type Folder,
  folderOf,
  openSafetensors,
  readJson,
  type SafetensorsFile,
  type TensorSource,
  writeSafetensors,
  writeText,
} from "@tessera/files";
import { z } from "zod";
import type { Progress, TrainingHistory } from "../history.ts";
import type { RunSettings } from "./run_settings.ts";

/** A checkpoint of a training, without its tensors. */
export interface TrainingCheckpoint {
  /** The number of updates made. */
  readonly step: number;
  /** The number of updates that were to be made in all. */
  readonly steps: number;
  /** What happened until then. */
  readonly history: TrainingHistory;
}

/** What a checkpoint's JSON says. */
export interface SavedState {
  /** The training that it is of. */
  readonly run: RunSettings;
  /** How far it had come. */
  readonly progress: Progress;
}

const ownName = /^checkpoint-(\d{6,})\.(json|safetensors)(\.tmp-\w+)?$/;

function stem(step: number): string {
  return `checkpoint-${String(step).padStart(6, "0")}`;
}

// JSON has no infinities, which a norm or a rate can be.
const number = z.union([z.number(), z.enum(["NaN", "Infinity", "-Infinity"]).transform(Number)]);
const count = z.int().min(0);

const stateSchema = z.object({
  format: z.literal(1, "this version of Tessera reads format 1"),
  run: z.record(z.string(), z.unknown()),
  progress: z.object({
    updates: count,
    epoch: count,
    epochSteps: count,
    lossSum: number,
    tokenSum: number,
    history: z.object({
      steps: z.array(z.object({
        step: count,
        steps: count,
        epoch: count,
        loss: number,
        tokens: count,
        tokensPerSecond: number,
        learningRate: number,
        gradientNorm: number,
      })),
      epochs: z.array(z.object({
        epoch: count,
        loss: number,
        validation: z.object({ loss: number, accuracy: number, tokens: count }).exactOptional(),
      })),
    }),
  }),
});

function toJson(state: SavedState): string {
  const plain = (_: string, value: unknown) =>
    typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
  return JSON.stringify({ format: 1, ...state }, plain) + "\n";
}

/** The numbers of updates of the checkpoints in a folder, the last one first. */
export async function listCheckpoints(folder: Folder): Promise<number[]> {
  const steps = (await folder.list() ?? []).flatMap((name) => {
    const [, step, kind, temporary] = ownName.exec(name) ?? [];
    return kind === "json" && temporary === undefined ? [Number(step)] : [];
  });
  return steps.sort((a, b) => b - a);
}

/**
 * Writes a checkpoint.
 *
 * @throws {Error} when it cannot be written; those before are then still there.
 */
export async function writeTrainingCheckpoint(
  folder: Folder,
  state: SavedState,
  tensors: Iterable<TensorSource>,
): Promise<void> {
  const name = stem(state.progress.history.steps.length);
  await writeSafetensors(folder.file(`${name}.safetensors`), tensors);
  await writeText(folder.file(`${name}.json`), toJson(state));
}

/** Removes the checkpoints in a folder, and what is left of those that were not finished, but for the last `keep`; 0 unless given. */
export async function removeCheckpoints(
  from: string | Folder,
  options: { readonly keep?: number } = {},
): Promise<void> {
  const folder = folderOf(from);
  const kept = new Set((await listCheckpoints(folder)).slice(0, options.keep ?? 0));
  const isKept = (name: string) => {
    const [, step, , temporary] = ownName.exec(name)!;
    return temporary === undefined && kept.has(Number(step));
  };
  const own = (await folder.list() ?? []).filter((name) => ownName.test(name) && !isKept(name));
  // Without its JSON a checkpoint is none, so one that is half removed is never taken for a whole one.
  own.sort((a, b) => Number(b.includes(".json")) - Number(a.includes(".json")));
  for (const name of own) await folder.file(name).remove();
}

/** Reads what the checkpoint of a number of updates says. Throws when its JSON is damaged. */
export async function readState(folder: Folder, step: number): Promise<SavedState> {
  const { run, progress } = await readJson(folder.file(`${stem(step)}.json`), stateSchema);
  return { run, progress };
}

/** Opens the tensors of the checkpoint of a number of updates. */
export async function openTensors(folder: Folder, step: number): Promise<SafetensorsFile> {
  // Unmapped, as the values are about to change, and the file to be replaced by a later one.
  return await openSafetensors(folder.file(`${stem(step)}.safetensors`), { map: false });
}
