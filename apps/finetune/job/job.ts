/** Which job a command line means: the shipped one, that of a file, or one made of flags alone. */
import { backendNames } from "@tessera/backends";
import { nest, UsageError } from "@tessera/cli";
import { checkJson, parseJson } from "@tessera/files";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { type Config, configSchema } from "./config.ts";
import { readFinishedRun, readStoppedRun, type StoppedRun } from "../run/begun_run.ts";
import type { Arguments } from "./command_line.ts";
import type { RunRecord } from "../run/record.ts";
import { tinyConfig, tinyFolder } from "./tiny_config.ts";

/** A job to run. */
export interface Job {
  /** The configuration, with every default filled in and every path absolute or relative to the working folder. */
  readonly config: Config & { readonly name: string };
  /** The folder for results that was asked for; null to choose one by the name. */
  readonly output: string | null;
  /** The run to resume; null for a new one. */
  readonly stopped: StoppedRun | null;
  /** The run that is over and whose results are to be pushed; `null` for one that is to be run. */
  readonly finished: RunRecord | null;
  /** Where the job comes from: a file, or null for flags and the shipped job. */
  readonly source: string | null;
}

type Fields = Record<string, unknown>;

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The first value, with what the second says instead; groups are merged field by field. */
function merge(base: unknown, changes: unknown): unknown {
  if (!isObject(base) || !isObject(changes)) return changes;
  const merged = { ...base };
  for (const [key, value] of Object.entries(changes)) merged[key] = merge(base[key], value);
  return merged;
}

async function readConfigFile(path: string): Promise<unknown> {
  try {
    if (!(await Deno.stat(path)).isFile) throw new UsageError(`Cannot read the job "${path}": it is not a file`);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new UsageError(`Cannot read the job "${path}": there is no such file`, { cause });
  }
  if (/\.[cm]?[jt]s$/.test(path)) {
    const module = await import(pathToFileURL(resolve(path)).href) as { readonly default?: unknown };
    if (isObject(module.default)) return module.default;
    throw new UsageError(
      `Cannot use "${path}": it has no default export; write "export default defineConfig({ ... })"`,
    );
  }
  try {
    return parseJson(path, await Deno.readTextFile(path));
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}

/** The fields that are paths, each with how to tell a path from other values. */
const pathFields: readonly (readonly string[])[] = [["preset"], ["data", "train"], ["data", "heldOut"], ["output"]];

/** A path from a file, from where the program runs; a handle such as `hf://owner/name` stays as it is. */
function fromFolder(folder: string, path: string): string {
  return isAbsolute(path) || path.includes("://") ? path : join(folder, path);
}

/** Makes the paths in a configuration file, which are relative to the file, relative to where the program runs. */
function resolvePaths(config: unknown, folder: string): unknown {
  if (!isObject(config)) return config;
  const resolved = structuredClone(config);
  for (const path of pathFields) {
    const group = path.slice(0, -1).reduce<unknown>((at, name) => isObject(at) ? at[name] : undefined, resolved);
    const name = path.at(-1)!;
    if (isObject(group) && typeof group[name] === "string") group[name] = fromFolder(folder, group[name]);
  }
  return resolved;
}

/** The job that flags change: that of the file, the shipped one, or, for another model, none but the shipped data. */
function chooseBase({ fields }: Arguments): unknown {
  const shipped = structuredClone(tinyConfig) as unknown as Fields & { data: Fields };
  // A held-out set belongs to its training set.
  if (fields.has("data.train")) delete shipped.data["heldOut"];
  if (fields.get("preset") === undefined) {
    // The warm-up of the recipe would outlast a run that is much shorter.
    const steps = fields.get("training.steps");
    const training = shipped["training"] as Fields;
    if (typeof steps === "number") {
      training["warmupSteps"] = Math.min(training["warmupSteps"] as number, Math.floor(steps / 10));
    }
    return shipped;
  }
  // The recipe of the tiny model would ruin a large one, so only the data stays.
  const { train, heldOut } = shipped.data;
  return { data: { train, ...(heldOut === undefined ? {} : { heldOut }) } };
}

/** What the environment says where neither a file nor a flag does. */
function environmentDefaults(): Fields {
  const backend = Deno.env.get("TESSERA_BACKEND");
  if (backend === undefined || backend === "") return {};
  const names: readonly string[] = [...backendNames, "auto"];
  if (names.includes(backend)) return { backend };
  throw new UsageError(`Cannot use TESSERA_BACKEND=${backend}: expected one of ${names.join(", ")}`);
}

/** Checks that training can do what the job says, beyond what the schema knows. */
function checkTogether({ training, mesh, layout }: Config, source: string): void {
  if (mesh === null && layout !== "auto") {
    throw new UsageError(`Cannot use ${source}: "layout" says where weights lie on a mesh; give "mesh" too`);
  }
  if (training.steps !== null && training.warmupSteps >= training.steps) {
    throw new UsageError(
      `Cannot use ${source}: "training.warmupSteps" is ${training.warmupSteps}; ` +
        `expected less than "training.steps", which is ${training.steps}`,
    );
  }
}

/**
 * Reads the job that a command line means.
 *
 * @throws {UsageError} when the file cannot be read, or a field is missing, misspelled or wrong; the message has them all.
 */
export async function readJob(args: Arguments): Promise<Job> {
  const { fields } = args;
  const folder = args.given.get("resume")?.replace(/(?<=.)\/+$/, "");
  if (folder !== undefined) return await readStoppedJob(folder, args);
  const path = args.given.get("config") ?? null;
  const base = path === null ? chooseBase(args) : resolvePaths(await readConfigFile(path), dirname(path));
  let config: Config;
  try {
    const changes = nest(fields);
    // Epochs that were asked for on the command line count, whatever number of steps stood there.
    if (fields.has("training.epochs") && !fields.has("training.steps")) (changes["training"] as Fields)["steps"] = null;
    config = checkJson(path ?? "the flags", merge(merge(environmentDefaults(), base), changes), configSchema);
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
  checkTogether(config, path === null ? "the flags" : `"${path}"`);
  const name = config.name ?? (basename(resolve(config.preset)).replaceAll(/[^\w.-]+/g, "-") || "run");
  return { config: { ...config, name }, output: config.output ?? null, stopped: null, finished: null, source: path };
}

/** What may change while a run is stopped: what runs it, where it lies, how often it is saved and where it is shared. */
const changeable = ["backend", "threads", "mesh", "layout", "checkpoint", "push"];

/** The job of the run in a folder, to resume. */
async function readStoppedJob(folder: string, { fields, given, switches }: Arguments): Promise<Job> {
  const fixed = [...fields.keys()].find((path) => !changeable.includes(path.split(".")[0]!));
  const wrong = given.has("config") ? "config" : switches.has("overwrite") ? "overwrite" : fixed;
  if (wrong !== undefined) {
    throw new UsageError(
      `Cannot use --${wrong} with --resume: a resumed run keeps its job; only ${changeable.join(", ")} may change`,
    );
  }
  const finished = await readFinishedRun(folder);
  if (finished !== null) return readFinishedJob(folder, finished, fields);
  const stopped = await readStoppedRun(folder);
  const config = checkJson("the flags", merge(stopped.begun.config, nest(fields)), configSchema);
  checkTogether(config, "the flags");
  return { config: { ...config, name: config.name! }, output: folder, stopped, finished: null, source: null };
}

/** The job that shares the results of a run that is over. */
function readFinishedJob(folder: string, finished: RunRecord, fields: Arguments["fields"]): Job {
  const config = checkJson("the flags", merge(finished.config, nest(fields)), configSchema);
  const wrong = [...fields.keys()].find((path) => !path.startsWith("push."));
  if (config.push.to === null || wrong !== undefined) {
    throw new UsageError(
      `Cannot resume "${folder}": the run is over, and its results are there; start another one, or share these with ` +
        "--push hf://me/my-gemma alone",
    );
  }
  return { config: { ...config, name: finished.name }, output: folder, stopped: null, finished, source: null };
}

/** Tells whether a job starts from the shipped model. */
export function isTiny({ preset }: Config): boolean {
  return resolve(preset) === resolve(tinyFolder);
}
