/**
 * The layers of a decoder block under the names that Keras gives them in Gemma and its successors. Kernels of heads are
 * [heads, hidden, headDim], and in checkpoints `[heads·headDim, hidden]`.
 */
import { gelu, type Tensor } from "@tessera/core";
import { applyDense, type EinsumDense } from "@tessera/nn";
import type { ModelScope } from "../architecture/model_scope.ts";
import type { AttentionLayers, AttentionShape, FeedforwardShape } from "../architecture/transformer_layer.ts";

/** What attention is made from; `bias` is that of all four projections, and is left out where no model has one. */
export type GemmaAttentionShape = Omit<AttentionShape, "outputBias" | "initializer">;

/** Declares `attention` of a block, from the module `self_attn`: heads over the model axis, hidden units over the batch axis. */
export function declareGemmaAttention(block: ModelScope, shape: GemmaAttentionShape): AttentionLayers {
  const { hiddenDim, numQueryHeads, numKeyValueHeads, headDim, bias } = shape;
  const biased = bias === undefined ? {} : { bias };
  const heads = (name: string, module: string, equation: string, count: number) =>
    block.dense(`attention/${name}`, `self_attn.${module}`, {
      equation,
      shape: [count, hiddenDim, headDim],
      layout: ["model", "batch", null],
      ...biased,
    });
  return {
    query: heads("query", "q_proj", "btd,ndh->btnh", numQueryHeads),
    key: heads("key", "k_proj", "bsd,kdh->bskh", numKeyValueHeads),
    value: heads("value", "v_proj", "bsd,kdh->bskh", numKeyValueHeads),
    attentionOutput: block.dense("attention/attention_output", "self_attn.o_proj", {
      equation: "btnh,nhd->btd",
      shape: [numQueryHeads, headDim, hiddenDim],
      layout: ["model", null, "batch"],
      ...biased,
    }),
  };
}

/** A gated feed-forward layer. */
export interface GemmaFeedforward {
  /** [batch, time, hidden] to [batch, time, intermediate]: the gate. */
  readonly ffwGating: EinsumDense;
  /** [batch, time, hidden] to [batch, time, intermediate]: what is gated. */
  readonly ffwGating2: EinsumDense;
  /** [batch, time, intermediate] to [batch, time, hidden]. */
  readonly ffwLinear: EinsumDense;
}

/** Declares the feed-forward layer of a block, from the module `mlp`: intermediate units over the model axis. */
export function declareGemmaFeedforward(
  block: ModelScope,
  { hiddenDim, intermediateDim }: Pick<FeedforwardShape, "hiddenDim" | "intermediateDim">,
): GemmaFeedforward {
  const up = (name: string, module: string) =>
    block.dense(name, `mlp.${module}`, {
      equation: "btd,df->btf",
      shape: [hiddenDim, intermediateDim],
      layout: ["batch", "model"],
    });
  return {
    ffwGating: up("ffw_gating", "gate_proj"),
    ffwGating2: up("ffw_gating_2", "up_proj"),
    ffwLinear: block.dense("ffw_linear", "mlp.down_proj", {
      equation: "btf,fd->btd",
      shape: [intermediateDim, hiddenDim],
      layout: ["model", "batch"],
    }),
  };
}

/** The output of a feed-forward layer whose gate is GELU, [batch, time, hidden] to the same. */
export function applyGemmaFeedforward({ ffwGating, ffwGating2, ffwLinear }: GemmaFeedforward, x: Tensor): Tensor {
  return applyDense(ffwLinear, gelu(applyDense(ffwGating, x)).mul(applyDense(ffwGating2, x)));
}
