/** The lowering of the composites on tfjs's kernels: softmax has one, the others are their definitions. */

import type { CompositeName, Lowering } from "@tessera/core";
import type { Value } from "../engine/engine.ts";
import type { Workspace } from "./workspace.ts";

/** The composites. */
export const composites: { readonly [K in CompositeName]: Lowering<Workspace, Value>[K] } = {
  gelu: "decompose",
  geluGrad: "decompose",
  silu: "decompose",
  siluGrad: "decompose",
  layerNorm: "decompose",
  layerNormGrad: "decompose",
  rmsNorm: "decompose",
  rmsNormGrad: "decompose",
  softmax: (workspace, [logits]) => [workspace.kernel("Softmax", { logits }, { dim: logits.shape.length - 1 })],
  rotaryEmbedding: "decompose",
  attention: "decompose",
  attentionGrad: "decompose",
  crossEntropy: "decompose",
  crossEntropyGrad: "decompose",
  dequantize: "decompose",
  quantizedEinsum: "decompose",
  adamW: "decompose",
};
