/**
 * Weights that a program is compiled for, rather than given in each run.
 *
 * ONNX Runtime's kernels for weights of few bits are fast on constants only, which they lay out anew when a model is compiled.
 * Constants are supplied as they lie, without a copy; what kernels make of them exists once for all programs over the same weights.
 */

import { type Graph, sizeOf } from "@tessera/core";
import type { DeviceBuffer } from "@tessera/runtime";
import { OnnxBuffer } from "./buffer.ts";
import { type Environment, outPointer } from "./ffi/environment.ts";
import { allocateFresh } from "./ffi/fresh_memory.ts";
import type { SessionResidents } from "./ffi/session.ts";
import { type OrtValue, reshapedValue, valueOver } from "./ffi/value.ts";
import type { OnnxModel } from "./model/description.ts";

/** The constants of one session. */
export interface BoundResidents {
  /** What the session is made with. */
  readonly given: SessionResidents;
  /** Frees them, after the session. */
  release(): void;
}

/** What kernels made of the weights of one model, and how many sessions use it. */
interface Prepacked {
  readonly container: bigint;
  users: number;
}

/** One container per model, known by its first weight. */
const containers = new WeakMap<OnnxBuffer, Prepacked>();

let someOnes = new Float32Array(0);

/** Ones, from the one array of them that there is. */
function ones(count: number): Float32Array<ArrayBuffer> {
  if (someOnes.length < count) someOnes = new Float32Array(count).fill(1);
  return someOnes.subarray(0, count);
}

/**
 * The constants of a model; `null` when it has none.
 *
 * @throws {TypeError} when a buffer is not one of this backend, or was disposed.
 */
export function bindResidents(
  environment: Environment,
  graph: Graph,
  model: OnnxModel,
  residents: ReadonlyMap<number, DeviceBuffer>,
): BoundResidents | null {
  const { residents: wanted = [] } = model;
  if (wanted.length === 0) return null;
  const buffers = new Map([...residents].map(([input, buffer]) => [graph.inputNames[input]!, buffer]));
  const values = new Map<string, OrtValue>();
  let first: OnnxBuffer | null = null;
  for (const { name, input, shape } of wanted) {
    if (input === null) {
      values.set(name, valueOver(environment, { dtype: "float32", shape }, ones(sizeOf(shape))));
      continue;
    }
    const buffer = buffers.get(input);
    if (!(buffer instanceof OnnxBuffer) || buffer.disposed) {
      throw new TypeError(
        `Cannot compile "${graph.name}" for the buffer of "${input}": it is of another backend or disposed`,
      );
    }
    first ??= buffer;
    values.set(name, reshapedValue(environment, buffer.value, shape));
  }
  const prepacked = acquire(environment, first!);
  return {
    given: { values, container: prepacked.container },
    release() {
      for (const value of values.values()) value.release();
      if (--prepacked.users > 0) return;
      containers.delete(first!);
      environment.api.releasePrepackedWeightsContainer(prepacked.container);
    },
  };
}

function acquire({ api }: Environment, key: OnnxBuffer): Prepacked {
  let found = containers.get(key);
  if (found === undefined) {
    allocateFresh();
    const out = outPointer();
    api.createPrepackedWeightsContainer(out);
    containers.set(key, found = { container: out[0]!, users: 0 });
  }
  found.users++;
  return found;
}
