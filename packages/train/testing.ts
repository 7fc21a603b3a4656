/** The simplest language model and its data, for tests. */
import { type FloatDType, hostTensor, hostZeros } from "@tessera/core";
import { Variable, zeros } from "@tessera/nn";
import type { Backend } from "@tessera/runtime";
import { createDataset, type Dataset } from "./data/batches.ts";
import type { EncodedExample } from "./data/encode.ts";
import type { TrainableModel } from "./step.ts";

const vocabularySize = 5;

/** The simplest language model, and its variables by name. */
export interface BigramModel extends TrainableModel {
  /** The logits of the next token, a row for each token. */
  readonly table: Variable;
  /** What the table is multiplied with. */
  readonly frozen: Variable;
}

/** Makes the simplest language model: each token has a row of logits for the next. */
export function bigramModel(backend: Backend, dtype: FloatDType = "float32"): BigramModel {
  const table = new Variable("table", { shape: [vocabularySize, vocabularySize], dtype, initializer: zeros() });
  const frozen = new Variable("frozen", { shape: [1], initializer: zeros(), trainable: false });
  table.value = backend.upload(hostZeros(dtype, table.shape));
  frozen.value = backend.upload(hostTensor("float32", [1], Float32Array.of(1)));
  const variables = [table, frozen];
  return {
    name: "bigram",
    variables,
    vocabularySize,
    table,
    frozen,
    hidden: ({ tokenIds }) => table.read("float32").gather(tokenIds).mul(frozen.raw()),
    logits: (hidden) => hidden,
  };
}

/** Examples of rows of tokens, which are learned but for the first. */
export function examples(rows: readonly (readonly number[])[]): EncodedExample[] {
  return rows.map((row, i) => ({
    tokenIds: Int32Array.from(row),
    lossMask: Uint8Array.from(row, (_, t) => t > 0 ? 1 : 0),
    at: `row ${i}`,
  }));
}

/** Five examples in three batches of one shape. */
export const data: Dataset = createDataset(examples([[0, 1, 2, 3], [1, 2], [2, 3, 4], [3, 4, 0, 1, 2], [4, 0]]), {
  batchSize: 2,
  buckets: [5],
});
