/** Loading a checkpoint into variables, one tensor at a time. */
import {
  type FloatDType,
  formatType,
  fromFloat32,
  type HostTensor,
  isFloat,
  sameShape,
  toFloat32,
} from "@tessera/core";
import { CheckpointError, CheckpointTypeError, nearestName } from "@tessera/text";
import type { Checkpoint } from "@tessera/files";
import { loadQuantized, putBlocks, type Variable, type Where } from "@tessera/nn";
import { type Backend, cutBlock } from "@tessera/runtime";
import { type NameRule, pair, type Pairing, tableName, type TensorRow } from "./rows.ts";

/** How a checkpoint is loaded. */
export interface LoadOptions {
  /** Tensors that the checkpoint may hold and that no variable takes. */
  readonly redundant?: readonly RegExp[];
  /** Tensors that the checkpoint may hold a second time under another name: that name, and the tensor's own. */
  readonly copies?: Readonly<Record<string, string>>;
  /** The device that receives the values, or the distribution by which they are split; the backend's first device unless given. */
  readonly where?: Where;
  /** Other names that tensors may have; none unless given. The names in the table are tried on what these make of a name. */
  readonly names?: readonly NameRule[];
  /** Ends loading before the next tensor. */
  readonly signal?: AbortSignal;
  /** Called after each tensor with the number loaded so far and the number in all. */
  readonly onProgress?: (loaded: number, total: number) => void;
}

/** At most this many names are listed in a message. */
const mostListed = 6;

function list(names: readonly string[]): string {
  const shown = names.slice(0, mostListed).map((name) => `"${name}"`).join(", ");
  return names.length > mostListed ? `${shown} and ${names.length - mostListed} more` : shown;
}

/**
 * Checks, before anything is loaded, that the checkpoint holds exactly what the variables need.
 *
 * @throws {Error} when a variable finds no tensor, or a tensor finds no variable; both are listed.
 * @throws {TypeError} when a tensor has another shape than its variable.
 */
export function checkCheckpoint(
  checkpoint: Checkpoint,
  pairings: readonly Pairing[],
  { redundant = [], copies = {} }: Pick<LoadOptions, "redundant" | "copies"> = {},
): void {
  const wanted = new Set(pairings.map(({ tensor }) => tensor));
  const missing = pairings.filter(({ tensor }) => !checkpoint.tensors.has(tensor));
  const lacking = new Set(missing.map(({ tensor }) => tensor));
  const unused = [...checkpoint.tensors.keys()].filter((name) =>
    !wanted.has(name) && !Object.hasOwn(copies, name) && !redundant.some((pattern) => pattern.test(name))
  );
  if (missing.length > 0) {
    const first = missing[0]!;
    const near = nearestName(first.tensor, unused);
    throw new CheckpointError(
      `Cannot load "${checkpoint.folder}": it lacks ${lacking.size} of ${wanted.size} tensors: ` +
        `${list([...lacking])} (for "${first.variable.path}")` +
        (near === null ? "; check that config.json belongs to these weights" : `; the nearest name in it is "${near}"`),
    );
  }
  if (unused.length > 0) {
    throw new CheckpointError(
      `Cannot load "${checkpoint.folder}": nothing in the model takes ${unused.length} of its tensors: ${
        list(unused)
      }; ` +
        "check that config.json belongs to these weights (num_hidden_layers, model_type)",
    );
  }
  for (const { variable, tensor, shape, part } of pairings) {
    const found = checkpoint.tensors.get(tensor)!;
    if (!sameShape(found.shape, shape)) {
      const rows = part === null ? "" : `rows ${part.rows[0]} to ${part.rows[1] - 1} of `;
      throw new CheckpointTypeError(
        `Cannot load ${rows}"${tensor}" of "${checkpoint.folder}" into ${variable}: the tensor must have shape ` +
          `[${shape.join(",")}], found [${found.shape.join(",")}]`,
      );
    }
  }
}

/**
 * A checkpoint whose tensors have the names of the table.
 *
 * @throws {Error} when two of its tensors have one name in the table.
 */
export function withTableNames(checkpoint: Checkpoint, rules: readonly NameRule[]): Checkpoint {
  const fileNames = new Map<string, string>();
  for (const name of checkpoint.tensors.keys()) {
    const inTable = tableName(name, rules);
    const other = fileNames.get(inTable);
    if (other !== undefined) {
      throw new CheckpointError(
        `Cannot load "${checkpoint.folder}": its tensors "${other}" and "${name}" are one, "${inTable}"`,
      );
    }
    fileNames.set(inTable, name);
  }
  const inFile = (name: string) => fileNames.get(name) ?? name;
  return {
    folder: checkpoint.folder,
    files: checkpoint.files,
    metadata: checkpoint.metadata,
    tensors: new Map([...fileNames].map(([name, stored]) => [name, checkpoint.tensors.get(stored)!])),
    read: (name, options) => checkpoint.read(inFile(name), options),
    readSlice: (name, ranges, options) => checkpoint.readSlice(inFile(name), ranges, options),
    release: (name) => checkpoint.release(inFile(name)),
    close: () => checkpoint.close(),
  };
}

/**
 * Gives variables the values of a checkpoint, to each device of a mesh its part and no more. A part that has its variable's dtype
 * and lies in one piece is not copied: it stays a view of the file where the backend computes in host memory.
 *
 * @throws what `checkCheckpoint` throws, before anything is loaded.
 * @throws {TypeError} when the checkpoint holds a tensor twice, with other values the second time.
 */
export async function loadWeights(
  checkpoint: Checkpoint,
  rows: readonly TensorRow[],
  variables: readonly Variable[],
  backend: Backend,
  options: LoadOptions = {},
): Promise<void> {
  const { copies = {} } = options;
  const source = options.names === undefined ? checkpoint : withTableNames(checkpoint, options.names);
  const pairings = pair(rows, variables).map((pairing) => ({
    ...pairing,
    tensor: storedName(source, pairing.tensor, copies),
  }));
  checkCheckpoint(source, pairings, { ...options, copies });
  await checkCopies(source, copies);
  let loaded = 0;
  for (const { variable, tensor, part } of pairings) {
    options.signal?.throwIfAborted();
    const read = part === null ? source.read(tensor) : source.readSlice(tensor, [[...part.rows]]);
    if (variable.quantization !== null) {
      await loadQuantized(variable, requireFloats(read, variable), backend, options.where);
      // Nothing reads these floats again: without this, the whole file would stay in memory beside the codes.
      source.release(tensor);
    } else {
      const whole = { ...read, shape: variable.stored.shape };
      putBlocks(variable, (block) => inDType(cutBlock(whole, block), variable, backend), backend, options.where);
    }
    options.onProgress?.(++loaded, pairings.length);
    // Converting a dtype takes a while on big tensors: let other work run in between.
    if (loaded % 8 === 0) await new Promise((resolve) => setTimeout(resolve));
  }
}

/** The name under which a checkpoint holds a tensor: its own, or that of the copy where it is left out. */
function storedName(checkpoint: Checkpoint, name: string, copies: Readonly<Record<string, string>>): string {
  if (checkpoint.tensors.has(name)) return name;
  return Object.keys(copies).find((copy) => copies[copy] === name && checkpoint.tensors.has(copy)) ?? name;
}

/** At most this much of a tensor is compared at a time. */
const comparedBytes = 2 ** 26;

/** Requires that tensors that are stored twice are the same both times. */
async function checkCopies(checkpoint: Checkpoint, copies: Readonly<Record<string, string>>): Promise<void> {
  for (const [copy, name] of Object.entries(copies)) {
    const [found, original] = [checkpoint.tensors.get(copy), checkpoint.tensors.get(name)];
    if (found === undefined || original === undefined) continue;
    if (sameShape(found.shape, original.shape) && await isSame(checkpoint, copy, name)) continue;
    throw new CheckpointTypeError(
      `Cannot load "${checkpoint.folder}": "${copy}" differs from "${name}", although config.json ties the two; ` +
        'say "tie_word_embeddings": false there if the head is meant to be another one',
    );
  }
}

async function isSame(checkpoint: Checkpoint, a: string, b: string): Promise<boolean> {
  const [rows, ...rest] = checkpoint.tensors.get(a)!.shape as [number, ...number[]];
  const step = Math.max(1, Math.floor(comparedBytes / rest.reduce((product, length) => product * length, 4)));
  for (let row = 0; row < rows; row += step) {
    const range: [number, number] = [row, Math.min(row + step, rows)];
    const [left, right] = [a, b].map((name) => toFloat32(checkpoint.readSlice(name, [range])));
    if (left!.some((value, i) => value !== right![i])) return false;
    // Comparing takes a while on big tensors: let other work run in between.
    await new Promise((resolve) => setTimeout(resolve));
  }
  return true;
}

function inDType(host: HostTensor, variable: Variable, backend: Backend): HostTensor {
  const { dtype } = variable;
  if (host.dtype === dtype) return host;
  requireFloats(host, variable);
  const wide = toFloat32(host, dtype === "float32" ? backend.hostArray?.(dtype, host.data.length) : undefined);
  return fromFloat32(dtype as FloatDType, host.shape, wide);
}

function requireFloats(host: HostTensor, variable: Variable): HostTensor {
  if (isFloat(host.dtype) && isFloat(variable.dtype)) return host;
  throw new CheckpointTypeError(`Cannot load ${formatType(host)} into ${variable}: both must be floating-point`);
}
