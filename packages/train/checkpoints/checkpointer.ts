/** Saving a training now and then, and resuming from where it was saved. */
import { formatType, sameType } from "@tessera/core";
import { type Folder, folderOf, hostTypeOf, type TensorSource, type TensorStore } from "@tessera/files";
import { putBlocks, type Variable, whereOf } from "@tessera/nn";
import type { Backend } from "@tessera/runtime";
import { checkOptions, type OptionNames } from "@tessera/text";
import { createPacer } from "../data/pace.ts";
import type { Progress } from "../history.ts";
import {
  listCheckpoints,
  openTensors,
  readState,
  removeCheckpoints,
  type SavedState,
  type TrainingCheckpoint,
  writeTrainingCheckpoint,
} from "./checkpoint_files.ts";
import { describeRun, differences, type Run, type RunSettings } from "./run_settings.ts";

/** Where and how often a training is saved, so that it can resume after it was stopped. */
export interface CheckpointOptions {
  /** The folder of its checkpoints, which has those of one training only. */
  readonly folder: string | Folder;
  /** Save after every so many updates; by time alone unless given. */
  readonly everySteps?: number;
  /** Save when so many minutes have passed since the last time; 5 unless given, never where `everySteps` is given instead. */
  readonly everyMinutes?: number;
  /** The number of checkpoints to keep; 2 unless given. */
  readonly keep?: number;
  /** Resume from the last checkpoint in the folder, from the beginning where there is none; false unless given. */
  readonly resume?: boolean;
}

const optionNames: OptionNames<CheckpointOptions> = {
  folder: true,
  everySteps: true,
  everyMinutes: true,
  keep: true,
  resume: true,
};

/** The training that is saved. */
export interface SavedTraining extends Run {
  /** The number of updates to make in all. */
  readonly steps: number;
  /** What is saved: the trained variables and those of the optimizer. */
  readonly variables: readonly Variable[];
  /** What it runs on. */
  readonly backend: Backend;
}

/** Saves one training. */
export interface Checkpointer {
  /** How far the checkpoint had come that the training resumes from, whose values the variables now have; `null` for the beginning. */
  readonly resumed: Progress | null;
  /** Saves the training where that is due. */
  saveWhenDue(progress: Progress): Promise<void>;
  /** Saves the training unless it was saved after the same update. */
  save(progress: Progress): Promise<void>;
  /** An error that ended the training, with what is saved of it. */
  explain(error: unknown): unknown;
}

/**
 * The last checkpoint of a training in a folder, without its tensors; `null` where there is none.
 *
 * @throws {SyntaxError | TypeError} when it is damaged.
 */
export async function lastCheckpoint(folder: string | Folder): Promise<TrainingCheckpoint | null> {
  const source = folderOf(folder);
  const [step] = await listCheckpoints(source);
  if (step === undefined) return null;
  const { progress: { history } } = await readState(source, step);
  return { step, steps: history.steps.at(-1)?.steps ?? step, history };
}

function checkFigures(name: string, options: CheckpointOptions): void {
  checkOptions(`save "${name}" while it trains`, options, optionNames);
  const { everySteps, everyMinutes, keep } = options;
  const rules = [
    ["everySteps", everySteps, Number.isInteger(everySteps) && everySteps! >= 1, "a whole number of at least 1"],
    ["everyMinutes", everyMinutes, everyMinutes! > 0, "a positive number"],
    ["keep", keep, Number.isInteger(keep) && keep! >= 1, "a whole number of at least 1"],
  ] as const;
  for (const [option, value, isRight, expected] of rules) {
    if (value === undefined || isRight) continue;
    throw new RangeError(`Cannot save "${name}" while it trains: ${option} must be ${expected}, found ${value}`);
  }
}

/**
 * Prepares to save a training, and gives its variables the values of the last checkpoint where it is to be resumed.
 *
 * @throws {TypeError} when an option has an unknown name.
 * @throws {RangeError} when an option is out of range.
 * @throws {Error} when the folder has checkpoints and the training is not to resume from them, or when the last of them is
 * damaged or of another training, saying what differs. Nothing has changed then.
 */
export async function openCheckpoints(options: CheckpointOptions, training: SavedTraining): Promise<Checkpointer> {
  const { name } = training.model;
  checkFigures(name, options);
  const folder = folderOf(options.folder);
  const { everySteps, everyMinutes = everySteps === undefined ? 5 : Infinity, keep = 2 } = options;
  const run = await describeRun(training);
  const [last] = await listCheckpoints(folder);
  const known = last === undefined ? null : await readKnown(folder, last, training);
  if (known !== null && options.resume !== true) {
    throw new Error(
      `Cannot train "${name}" with checkpoints in "${folder.path}": it has one of a training that had made ${last} updates; ` +
        "give resume: true to resume from it, or name another folder",
    );
  }
  if (known !== null) await restore(folder, known, run, training);
  let saved = last ?? 0;
  let savedAt = performance.now();
  async function save(progress: Progress): Promise<void> {
    const { length: step } = progress.history.steps;
    if (step === saved) return;
    try {
      await writeTrainingCheckpoint(folder, { run, progress }, sourcesOf(training.variables));
      [saved, savedAt] = [step, performance.now()];
      await removeCheckpoints(folder, { keep });
    } catch (cause) {
      throw new Error(
        `Cannot save "${name}" after update ${step} to "${folder.path}": ${(cause as Error).message}` + whatIsSaved(),
        { cause },
      );
    }
  }
  const whatIsSaved = () =>
    saved === 0 ? "" : `; update ${saved} is saved in "${folder.path}", from where the training can be resumed`;
  return {
    resumed: known?.progress ?? null,
    save,
    saveWhenDue: async (progress) => {
      const isDue = progress.history.steps.length % (everySteps ?? Infinity) === 0 ||
        performance.now() - savedAt >= everyMinutes * 60_000;
      if (isDue) await save(progress);
    },
    explain: (error) => {
      if (saved === 0 || !(error instanceof Error)) return error;
      const explained = new Error(error.message + whatIsSaved(), { cause: error });
      explained.name = error.name;
      return explained;
    },
  };
}

/** What is to be written, each tensor brought to the host when its turn comes. */
function sourcesOf(variables: readonly Variable[]): TensorSource[] {
  return variables.map((variable) => ({
    name: variable.path,
    type: variable.stored,
    read: () => variable.value!.read(),
  }));
}

async function readKnown(folder: Folder, step: number, { model }: SavedTraining): Promise<SavedState> {
  try {
    return await readState(folder, step);
  } catch (cause) {
    throw damaged(folder, step, model.name, cause as Error);
  }
}

function damaged(folder: Folder, step: number, name: string, cause: Error): Error {
  return new Error(
    `Cannot resume training "${name}" from update ${step}: ${cause.message}; remove the damaged checkpoint's files from ` +
      `"${folder.path}" to resume from the one before`,
    { cause },
  );
}

/** Gives variables the values of a checkpoint, when it is one of the same training. */
async function restore(
  folder: Folder,
  { run: before, progress }: SavedState,
  run: RunSettings,
  { model, steps, variables, backend }: SavedTraining,
): Promise<void> {
  const step = progress.history.steps.length;
  if (step > steps) {
    throw new RangeError(
      `Cannot resume training "${model.name}" from "${folder.path}": its checkpoint has made ${step} updates, and ${steps} are ` +
        "asked for; raise maxSteps or epochs",
    );
  }
  const found = differences(before, run);
  if (found.length > 0) {
    const rest = found.length > 3 ? `; and ${found.length - 3} more` : "";
    throw new Error(
      `Cannot resume training "${model.name}" from update ${step} in "${folder.path}", which is of another training: ` +
        `${found.slice(0, 3).join("; ")}${rest}`,
    );
  }
  let tensors: TensorStore;
  try {
    tensors = await openTensors(folder, step);
  } catch (cause) {
    throw damaged(folder, step, model.name, cause as Error);
  }
  try {
    checkTensors(tensors, variables);
    const rest = createPacer();
    for (const variable of variables) {
      const blockOf: Parameters<typeof putBlocks>[1] = ({ starts, shape }) =>
        tensors.readSlice(variable.path, starts.map((start, axis) => [start, start + shape[axis]!]));
      putBlocks(variable, blockOf, backend, whereOf(variable));
      await rest();
    }
  } catch (cause) {
    throw damaged(folder, step, model.name, cause as Error);
  } finally {
    tensors.close();
  }
}

function checkTensors({ tensors }: TensorStore, variables: readonly Variable[]): void {
  for (const { path, stored } of variables) {
    const info = tensors.get(path);
    const found = info === undefined ? null : hostTypeOf(info);
    if (found !== null && sameType(found, stored)) continue;
    throw new TypeError(
      `"${path}" is ${found === null ? "absent" : formatType(found)} in its tensors, expected ${formatType(stored)}`,
    );
  }
}
