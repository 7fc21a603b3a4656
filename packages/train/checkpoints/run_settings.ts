/**
 * What makes a training the one that it is, so that a checkpoint of another one is not taken for its own: the model, the
 * optimizer, the data and how it is read, as a record that JSON can hold. What is too large to be written down, the frozen weights
 * and the examples, is there as a digest.
 */
import { formatType, isIdentity } from "@tessera/core";
import type { Variable } from "@tessera/nn";
import type { Dataset } from "../data/batches.ts";
import { createPacer } from "../data/pace.ts";
import type { Optimizer } from "../optimizer.ts";
import { type TrainableModel, trainableVariables } from "../step.ts";

/** A training, as a record for JSON. */
export type RunSettings = Readonly<Record<string, unknown>>;

/** What a training is made of. */
export interface Run {
  /** The model. */
  readonly model: TrainableModel;
  /** The data. */
  readonly dataset: Dataset;
  /** What turns gradients into updates. */
  readonly optimizer: Optimizer;
  /** The number of batches per update. */
  readonly gradientAccumulationSteps: number;
  /** The seed of the order of examples; none when they come in their own. */
  readonly seed: number | undefined;
}

/** Frozen variables of at most this size, in bytes, are in the digest: norms and biases tell models of one shape apart, quickly. */
const digestedBytes = 2 ** 16;

/**
 * Describes a training.
 *
 * @throws {TypeError} when a variable has no value.
 */
export async function describeRun({ model, dataset, optimizer, ...rest }: Run): Promise<RunSettings> {
  const frozen = model.variables.filter(({ trainable }) => !trainable);
  const { examples, tokens, targetTokens, batches, shapes } = dataset.statistics;
  const trained = trainableVariables(model);
  const settings = {
    model: {
      name: model.name,
      trained: Object.fromEntries(trained.map((variable) => [variable.path, formatType(variable)])),
      storedAxes: Object.fromEntries(
        trained.flatMap(({ path, order }) => isIdentity(order) ? [] : [[path, order] as const]),
      ),
      frozenBytes: bytesByType(frozen),
      frozenDigest: await digestOf(valuesOf(frozen)),
      ...model.identity,
    },
    optimizer: { name: optimizer.name, ...optimizer.settings },
    data: {
      examples,
      tokens,
      targetTokens,
      batchSize: dataset.batchSize,
      batches,
      lengths: shapes.map(({ time }) => time),
      examplesDigest: await digestOf(contentOf(dataset)),
    },
    training: { gradientAccumulationSteps: rest.gradientAccumulationSteps, seed: rest.seed ?? null },
  };
  return JSON.parse(JSON.stringify(settings));
}

function bytesByType(variables: readonly Variable[]): Record<string, number> {
  const bytes: Record<string, number> = {};
  for (const variable of variables) {
    const { dtype } = variable.stored;
    bytes[dtype] = (bytes[dtype] ?? 0) + variable.bytes;
  }
  return bytes;
}

async function* valuesOf(variables: readonly Variable[]): AsyncGenerator<ArrayBufferView> {
  for (const variable of variables) {
    yield new TextEncoder().encode(`${variable.path} ${formatType(variable.stored)}\n`);
    if (variable.bytes > digestedBytes) continue;
    if (variable.value === null) {
      throw new TypeError(`Cannot describe ${variable}: it has no value; load or initialize it first`);
    }
    yield (await variable.value.read()).data;
  }
}

function* contentOf({ examples }: Dataset): Generator<ArrayBufferView> {
  for (const { tokenIds, lossMask, image } of examples) {
    yield Int32Array.of(tokenIds.length);
    yield tokenIds;
    yield lossMask;
    if (image !== undefined) yield image;
  }
}

const blockBytes = 2 ** 20;

/** A SHA-256 over some arrays, one block in memory at a time: the digest of each block covers that of the one before. */
async function digestOf(parts: Iterable<ArrayBufferView> | AsyncIterable<ArrayBufferView>): Promise<string> {
  const rest = createPacer();
  const block = new Uint8Array(blockBytes);
  let filled = 32;
  const close = async () => {
    block.set(new Uint8Array(await crypto.subtle.digest("SHA-256", block.subarray(0, filled))));
    filled = 32;
    await rest();
  };
  for await (const part of parts) {
    const bytes = new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
    for (let done = 0; done < bytes.length;) {
      const piece = bytes.subarray(done, done + blockBytes - filled);
      block.set(piece, filled);
      filled += piece.length;
      done += piece.length;
      if (filled === blockBytes) await close();
    }
  }
  await close();
  return Array.from(block.subarray(0, 8), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What differs, for what is there as a digest only. */
const meanings: Readonly<Record<string, string>> = {
  "model.frozenDigest": "the frozen weights have other values",
  "data.examplesDigest": "the examples are others",
};

/** What differs between a training that was saved and one that is to resume, a phrase each; none when they are the same. */
export function differences(saved: RunSettings, now: RunSettings): string[] {
  const [before, after] = [new Map(leavesOf(saved)), new Map(leavesOf(now))];
  const paths = [...new Set([...before.keys(), ...after.keys()])];
  const described = (value: string | undefined) => value === undefined ? "absent" : value;
  return paths.filter((path) => before.get(path) !== after.get(path)).map((path) =>
    meanings[path] ?? `"${path}" is ${described(before.get(path))} there and ${described(after.get(path))} here`
  );
}

function* leavesOf(value: unknown, path = ""): Generator<[path: string, value: string]> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    yield [path, typeof value === "string" ? value : JSON.stringify(value)];
    return;
  }
  for (const [name, inner] of Object.entries(value)) yield* leavesOf(inner, path === "" ? name : `${path}.${name}`);
}
