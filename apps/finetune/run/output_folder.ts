/** Where results go, and that the results of another run are never lost. */
import { join } from "node:path";
import { UsageError } from "@tessera/cli";

/** The files and folders that a run may write, by what they are. */
export const outputNames = {
  adapter: "adapter",
  model: "model",
  report: "report.html",
  metrics: "metrics.json",
  config: "config.json",
  checkpoints: "checkpoints",
} as const;

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return false;
    throw error;
  }
}

async function isFolder(path: string): Promise<boolean> {
  return (await Deno.stat(path)).isDirectory;
}

/** The names in a folder that a run would overwrite. */
async function findResults(folder: string): Promise<string[]> {
  const found = [];
  for (const name of Object.values(outputNames)) if (await exists(join(folder, name))) found.push(name);
  return found;
}

/** The folder of the first, second or later run of one name. */
export function runFolder(runs: string, name: string, number: number): string {
  return join(runs, number === 1 ? name : `${name}-${number}`);
}

/** How the folder for results is chosen. */
export interface OutputOptions {
  /** The folder that was asked for; null to choose one under `runs`. */
  readonly output: string | null;
  /** The name of the run. */
  readonly name: string;
  /** Whether the folder that was asked for may hold another run. */
  readonly overwrite: boolean;
  /** The folder that runs are kept in. */
  readonly runs: string;
}

/**
 * Chooses the folder for results; nothing is written.
 *
 * @throws {UsageError} when the folder that was asked for is a file, or holds another run that may not be overwritten.
 */
export async function chooseOutput({ output, name, overwrite, runs }: OutputOptions): Promise<string> {
  if (output === null) {
    for (let number = 1;; number++) {
      const folder = runFolder(runs, name, number);
      if (!(await exists(folder)) || (await isFolder(folder) && (await findResults(folder)).length === 0)) {
        return folder;
      }
    }
  }
  if (!(await exists(output))) return output;
  if (!(await isFolder(output))) throw new UsageError(`Cannot write results to "${output}": it is a file`);
  const found = await findResults(output);
  if (found.length > 0 && !overwrite) {
    const orResume = found.includes(outputNames.checkpoints) ? ", or resume it by --resume" : "";
    throw new UsageError(
      `Cannot write results to "${output}": it holds another run (${found.join(", ")}); ` +
        `name another folder, or add --overwrite${orResume}`,
    );
  }
  return output;
}

/** A folder that is kept for a run from its start. */
export interface Claim {
  /** Removes the results of an earlier run before those of this one are written; checkpoints stay. */
  prepare(): Promise<void>;
  /** Gives the folder back when nothing was written after all. */
  release(): Promise<void>;
}

/**
 * Makes the folder for results, so that one that cannot be written is found at once, and puts the job into it, so that no
 * other run takes it; results of an earlier run stay until those of this one are there.
 */
export async function claimOutput(folder: string, job: string): Promise<Claim> {
  await Deno.mkdir(folder, { recursive: true });
  let isHeld = (await findResults(folder)).length === 0;
  if (isHeld) await Deno.writeTextFile(join(folder, outputNames.config), job);
  return {
    async prepare() {
      isHeld = false;
      for (const name of await findResults(folder)) {
        if (name !== outputNames.checkpoints) await Deno.remove(join(folder, name), { recursive: true });
      }
      await Deno.writeTextFile(join(folder, outputNames.config), job);
    },
    async release() {
      if (!isHeld) return;
      isHeld = false;
      await Deno.remove(join(folder, outputNames.config));
      if ((await Array.fromAsync(Deno.readDir(folder))).length === 0) await Deno.remove(folder);
    },
  };
}

/** A value as indented JSON, as the files of a run have it. */
export function formatJson(value: unknown): string {
  return JSON.stringify(value, null, 2) + "\n";
}
