/** Saving variables as a checkpoint that Transformers loads, one tensor at a time. */
import { type FloatDType, fromFloat32, isFloat, toFloat32 } from "@tessera/core";
import { type Folder, type TensorSource, writeCheckpoint } from "@tessera/files";
import type { Variable } from "@tessera/nn";
import { pair, type TensorRow } from "./rows.ts";

/** How weights are saved. */
export interface SaveOptions {
  /** The dtype of the tensors in the file; each variable's own unless given. */
  readonly dtype?: FloatDType;
  /** The most data in one file, in bytes. */
  readonly maxShardBytes?: number;
}

/**
 * Writes the values of variables into a folder as safetensors.
 *
 * @throws {TypeError} when a variable has no value, or is quantised, before anything is written.
 */
export async function saveWeights(
  folder: string | Folder,
  rows: readonly TensorRow[],
  variables: readonly Variable[],
  options: SaveOptions = {},
): Promise<void> {
  const sources = pair(rows, variables).map(({ variable, tensor, shape }): TensorSource => {
    if (variable.value === null) {
      throw new TypeError(`Cannot save ${variable}: it has no value; load or initialise it first`);
    }
    if (variable.quantization !== null) {
      throw new TypeError(
        `Cannot save ${variable}: it is stored as ${variable.quantization.name}, which checkpoints do not hold; ` +
          "load the original without quantize to save it, or save an adapter alone",
      );
    }
    const dtype = options.dtype ?? variable.dtype;
    const { value } = variable;
    return {
      name: tensor,
      type: { shape, dtype },
      read: async () => {
        const host = await value.read();
        if (host.dtype === dtype || !isFloat(dtype)) return { ...host, shape };
        return fromFloat32(dtype, shape, toFloat32(host));
      },
    };
  });
  await writeCheckpoint(
    folder,
    sources,
    options.maxShardBytes === undefined ? {} : { maxShardBytes: options.maxShardBytes },
  );
}
