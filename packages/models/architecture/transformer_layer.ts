/**
 * The layers of a decoder block under the names that Keras gives them in Llama and its relatives: attention with grouped key/value
 * heads (arXiv 2305.13245) and a gated feed-forward layer (arXiv 2002.05202). Kernels are [hidden, heads, headDim], and in
 * checkpoints `[heads·headDim, hidden]`.
 */
import { silu, type Tensor } from "@tessera/core";
import { applyDense, type EinsumDense, type Initializer } from "@tessera/nn";
import type { ModelScope } from "./model_scope.ts";

/** The four projections of attention. */
export interface AttentionLayers {
  /** [batch, time, hidden] to queries [batch, time, heads, headDim]. */
  readonly query: EinsumDense;
  /** [batch, time, hidden] to keys [batch, time, keyHeads, headDim]. */
  readonly key: EinsumDense;
  /** [batch, time, hidden] to values [batch, time, keyHeads, headDim]. */
  readonly value: EinsumDense;
  /** [batch, time, heads, headDim] to [batch, time, hidden]. */
  readonly attentionOutput: EinsumDense;
}

/** The shape of attention. */
export interface AttentionShape {
  /** The hidden size. */
  readonly hiddenDim: number;
  /** The number of query heads. */
  readonly numQueryHeads: number;
  /** The number of key and value heads. */
  readonly numKeyValueHeads: number;
  /** The head dimension. */
  readonly headDim: number;
  /** Whether queries, keys and values have biases; false unless given. */
  readonly bias?: boolean;
  /** Whether the output has one; false unless given. */
  readonly outputBias?: boolean;
  /** How values are made when no checkpoint gives them; by the number of inputs unless given. */
  readonly initializer?: Initializer;
}

/** Declares `self_attention` of a block, from the module `self_attn`: heads over the model axis, hidden units over the batch axis. */
export function declareAttention(block: ModelScope, shape: AttentionShape): AttentionLayers {
  const { hiddenDim, numQueryHeads, numKeyValueHeads, headDim, bias = false, outputBias = false } = shape;
  const made = shape.initializer === undefined ? {} : { initializer: shape.initializer };
  const heads = (name: string, module: string, equation: string, count: number) =>
    block.dense(`self_attention/${name}`, `self_attn.${module}`, {
      equation,
      shape: [hiddenDim, count, headDim],
      layout: ["batch", "model", null],
      bias,
      ...made,
    });
  return {
    query: heads("query", "q_proj", "btd,dnh->btnh", numQueryHeads),
    key: heads("key", "k_proj", "bsd,dkh->bskh", numKeyValueHeads),
    value: heads("value", "v_proj", "bsd,dkh->bskh", numKeyValueHeads),
    attentionOutput: block.dense("self_attention/attention_output", "self_attn.o_proj", {
      equation: "btnh,nhd->btd",
      shape: [numQueryHeads, headDim, hiddenDim],
      layout: ["model", null, "batch"],
      bias: outputBias,
      ...made,
    }),
  };
}

/** A gated feed-forward layer. */
export interface Feedforward {
  /** [batch, time, hidden] to [batch, time, intermediate]: what is gated. */
  readonly up: EinsumDense;
  /** [batch, time, hidden] to [batch, time, intermediate]: the gate. */
  readonly gate: EinsumDense;
  /** [batch, time, intermediate] to [batch, time, hidden]. */
  readonly down: EinsumDense;
}

/** The shape of a feed-forward layer. */
export interface FeedforwardShape {
  /** The hidden size. */
  readonly hiddenDim: number;
  /** The intermediate size. */
  readonly intermediateDim: number;
  /** Whether the three projections have biases; false unless given. */
  readonly bias?: boolean;
  /** How values are made when no checkpoint gives them; by the number of inputs unless given. */
  readonly initializer?: Initializer;
}

/** Declares the feed-forward layer of a block, from the module `mlp`: intermediate units over the model axis. */
export function declareFeedforward(block: ModelScope, shape: FeedforwardShape): Feedforward {
  const { hiddenDim, intermediateDim, bias = false } = shape;
  const made = shape.initializer === undefined ? {} : { initializer: shape.initializer };
  const up = (name: string, module: string) =>
    block.dense(name, `mlp.${module}`, {
      equation: "btd,df->btf",
      shape: [hiddenDim, intermediateDim],
      layout: ["batch", "model"],
      bias,
      ...made,
    });
  return {
    up: up("feedforward_intermediate_dense", "up_proj"),
    gate: up("feedforward_gate_dense", "gate_proj"),
    down: block.dense("feedforward_output_dense", "mlp.down_proj", {
      equation: "btf,fd->btd",
      shape: [intermediateDim, hiddenDim],
      layout: ["model", "batch"],
      bias,
      ...made,
    }),
  };
}

/** The output of a feed-forward layer whose gate is SiLU, [batch, time, hidden] to the same. */
export function applyFeedforward({ up, gate, down }: Feedforward, x: Tensor): Tensor {
  return applyDense(down, silu(applyDense(gate, x)).mul(applyDense(up, x)));
}
