/** Saving variables as a checkpoint that Transformers loads, one tensor at a time. */
import {
  type DType,
  type FloatDType,
  fromFloat32,
  type HostTensor,
  hostZeros,
  isFloat,
  toFloat32,
} from "@tessera/core";
import { type Folder, type TensorSource, writeCheckpoint } from "@tessera/files";
import type { Variable } from "@tessera/nn";
import type { DeviceBuffer } from "@tessera/runtime";
import { pair, type Pairing, type TensorRow } from "./rows.ts";

/** How weights are saved. */
export interface SaveOptions {
  /** The dtype of the tensors in the file; each variable's own unless given. */
  readonly dtype?: FloatDType;
  /** The most data in one file, in bytes. */
  readonly maxShardBytes?: number;
}

/**
 * Writes the values of variables into a folder as safetensors; variables that are parts of one tensor are joined.
 *
 * @throws {TypeError} when a variable has no value, or is quantized, before anything is written.
 * @throws {Error} when the parts of a tensor leave rows out or overlap: a defect of the architecture.
 */
export async function saveWeights(
  folder: string | Folder,
  rows: readonly TensorRow[],
  variables: readonly Variable[],
  options: SaveOptions = {},
): Promise<void> {
  const tensors = new Map<string, Pairing[]>();
  for (const pairing of pair(rows, variables)) {
    tensors.set(pairing.tensor, [...tensors.get(pairing.tensor) ?? [], pairing]);
  }
  const sources = [...tensors].map(([name, parts]): TensorSource => {
    const values = inOrder(name, parts).map(({ variable }) => valueOf(variable));
    const [{ shape, variable }] = parts as [Pairing];
    const dtype = options.dtype ?? variable.dtype;
    return {
      name,
      type: { shape, dtype },
      read: async () => {
        if (values.length === 1) return { ...await readAs(values[0]!, dtype), shape };
        const joined = hostZeros(dtype, shape);
        let at = 0;
        for (const value of values) {
          const { data } = await readAs(value, dtype);
          joined.data.set(data, at);
          at += data.length;
        }
        return joined;
      },
    };
  });
  await writeCheckpoint(
    folder,
    sources,
    options.maxShardBytes === undefined ? {} : { maxShardBytes: options.maxShardBytes },
  );
}

/** The parts of a tensor, first rows first. */
function inOrder(tensor: string, parts: readonly Pairing[]): Pairing[] {
  const ordered = parts.toSorted((a, b) => (a.part?.rows[0] ?? 0) - (b.part?.rows[0] ?? 0));
  let end = 0;
  for (const { variable, shape, part } of ordered) {
    const [begin, next] = part?.rows ?? [0, shape[0] ?? 0];
    if (begin !== end) {
      throw new Error(`Cannot save "${tensor}": ${variable} begins at row ${begin} of it, expected row ${end}`);
    }
    end = next;
  }
  const { shape: [rows = 0] } = ordered[0]!;
  if (end !== rows) throw new Error(`Cannot save "${tensor}": no variable has its rows ${end} to ${rows - 1}`);
  return ordered;
}

function valueOf(variable: Variable): DeviceBuffer {
  if (variable.value === null) {
    throw new TypeError(`Cannot save ${variable}: it has no value; load or initialize it first`);
  }
  if (variable.quantization !== null) {
    throw new TypeError(
      `Cannot save ${variable}: it is stored as ${variable.quantization.name}, which checkpoints do not hold; ` +
        "load the original without quantize to save it, or save an adapter alone",
    );
  }
  return variable.value;
}

async function readAs(value: DeviceBuffer, dtype: DType): Promise<HostTensor> {
  const host = await value.read();
  return host.dtype === dtype || !isFloat(dtype) ? host : fromFloat32(dtype, host.shape, toFloat32(host));
}
