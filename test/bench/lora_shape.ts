/** The model, the batch and the optimizer of the LoRA benchmark; `test/oracle/bench_common.py` has the same. */
import type { EncodedExample } from "@tessera/train";
import type { GemmaConfig } from "tessera";

/** Gemma 2's architecture at 221.6 million parameters. */
export const shape: GemmaConfig = {
  vocabularySize: 32000,
  numLayers: 12,
  numQueryHeads: 4,
  numKeyValueHeads: 2,
  hiddenDim: 1024,
  intermediateDim: 2 * 4096,
  headDim: 256,
  usePostFfwNorm: true,
  usePostAttentionNorm: true,
  attentionLogitSoftCap: 50,
  finalLogitSoftCap: 30,
  useSlidingWindowAttention: true,
  slidingWindowSize: 4096,
};

/** AdamW's settings. */
export const optimizer = { learningRate: 1e-3, weightDecay: 0.01, epsilon: 1e-8 };

/** The batch, the same at every step: token i, from 1 and row by row, is i · 2654435761 mod 2³² mod the vocabulary. */
export function examples(batch: number, time: number): EncodedExample[] {
  const token = (i: number) => Number(BigInt.asUintN(32, BigInt(i) * 2654435761n) % BigInt(shape.vocabularySize));
  return Array.from({ length: batch }, (_, row) => ({
    tokenIds: Int32Array.from({ length: time }, (_, t) => token(row * time + t + 1)),
    lossMask: new Uint8Array(time).fill(1, 1),
    at: `row ${row}`,
  }));
}
