/**
 * Scaled dot-product attention with grouped key/value heads (arXiv 2305.13245), a soft cap on the scores (Gemma 2,
 * arXiv 2408.00118) and masks that follow from positions.
 *
 * Masks are not tensors here. Each key has a position and each query an interval of positions, and query i sees key j when
 *   0 ≤ keyPosition[j]  and  first[i] ≤ keyPosition[j] ≤ last[i].
 * That covers padding (a key position of -1), causal and prefix masks, sliding windows, images whose tokens see each other, and
 * caches that are partly filled, and lets a backend with a fused kernel never build the [batch, heads, time, keys] mask.
 */
import { formatType, sameShape, sameType, type TensorType } from "../values/dtype.ts";
import { apply, type Tensor } from "../graph/tensor.ts";
import { einsum } from "../ops/contraction.ts";
import { requireDType, requireFloat, requireShape } from "../ops/infer.ts";
import type { CompositeTable } from "../ops/op.ts";
import { softmax } from "./normalization.ts";

/** The static attributes of an attention op. */
export interface AttentionAttrs {
  /** The scores are multiplied by this. */
  readonly scale: number;
  /** The scores become softCap · tanh(score / softCap) before masking; `null` for none. */
  readonly softCap: number | null;
}

/** How scores are computed, and how far back a query sees. */
export interface AttentionOptions extends AttentionAttrs {
  /** How many positions back a query sees, itself included; `null` for all. */
  readonly window: number | null;
}

/** The signatures of the attention composites. */
export interface Attention {
  /** Scaled dot-product attention under masks that follow from positions. */
  attention: {
    operands: [
      query: TensorType,
      key: TensorType,
      value: TensorType,
      first: TensorType,
      last: TensorType,
      keyPositions: TensorType,
    ];
    attrs: AttentionAttrs;
    results: [out: TensorType];
  };
  /** The gradient of `attention`, which recomputes the probabilities instead of keeping them. */
  attentionGrad: {
    operands: [
      query: TensorType,
      key: TensorType,
      value: TensorType,
      first: TensorType,
      last: TensorType,
      keyPositions: TensorType,
      out: TensorType,
      ct: TensorType,
    ];
    attrs: AttentionAttrs;
    results: [dquery: TensorType, dkey: TensorType, dvalue: TensorType];
  };
}

/** The operands of `attention`, by name. */
export interface AttentionInputs {
  /** Queries, [batch, time, heads, headDim]. */
  readonly query: Tensor;
  /** Keys, [batch, keys, keyHeads, headDim]; keyHeads divides heads. */
  readonly key: Tensor;
  /** Values, like the keys. */
  readonly value: Tensor;
  /** The position of each query, int32 [batch, time]. */
  readonly queryPositions: Tensor;
  /** The position of each key, int32 [batch, keys]; -1 hides it. */
  readonly keyPositions: Tensor;
  /** The end of the prefix, int32 [batch]: within it every query sees every key, whatever the window; no prefix when left out. */
  readonly prefix?: Tensor;
  /** The last position that each query after the prefix sees, int32 [batch, time]; its own by default. */
  readonly lastSeen?: Tensor;
}

/**
 * Attends from queries to keys and returns the mixed values, [batch, time, heads, headDim].
 *
 * @throws {TypeError} when the shapes or dtypes do not fit each other.
 */
export function attention(inputs: AttentionInputs, { window, ...attrs }: AttentionOptions): Tensor {
  const { query, key, value, keyPositions } = inputs;
  const { first, last } = spans(inputs, window);
  return apply("attention", [query, key, value, first, last, keyPositions], attrs);
}

/** The first and the last position that each query sees, int32 [batch, time]. */
function spans({ queryPositions, prefix, lastSeen }: AttentionInputs, window: number | null) {
  const full = (value: number, shape: readonly number[] = []) => apply("full", [], { shape, dtype: "int32", value });
  const first = window === null ? full(0, queryPositions.shape) : queryPositions.sub(window - 1);
  const last = lastSeen ?? queryPositions;
  if (prefix === undefined) return { first, last };
  const end = prefix.reshape([-1, 1]);
  const isInside = queryPositions.less(end);
  return {
    first: window === null ? first : apply("where", [isInside, full(0), first], {}),
    last: apply("where", [isInside, end.sub(1), last], {}),
  };
}

function check(op: string, [query, key, value, first, last, keyPositions]: readonly TensorType[]): void {
  requireFloat(op, query!);
  const [batch, time, heads, headDim] = query!.shape;
  const [keyBatch, keys, keyHeads, keyDim] = key!.shape;
  const fits = query!.shape.length === 4 && sameShape(key!.shape, value!.shape) && key!.shape.length === 4 &&
    batch === keyBatch && headDim === keyDim && heads! % keyHeads! === 0 && query!.dtype === key!.dtype &&
    key!.dtype === value!.dtype;
  if (!fits) {
    throw new TypeError(
      `Cannot ${op} with queries ${formatType(query!)}, keys ${formatType(key!)} and values ${formatType(value!)}: ` +
        "expected [batch, time, heads, headDim] and twice [batch, keys, keyHeads, headDim], keyHeads dividing heads",
    );
  }
  for (
    const [what, type, shape] of [
      ["the first positions", first!, [batch!, time!]],
      ["the last positions", last!, [batch!, time!]],
      ["the key positions", keyPositions!, [batch!, keys!]],
    ] as const
  ) {
    requireDType(op, what, type, "int32");
    requireShape(op, what, type, shape);
  }
}

/** Heads in the groups that share a key head: [batch, time, keyHeads, group, headDim]. */
function grouped(x: Tensor, keyHeads: number): Tensor {
  const [batch, time, heads, headDim] = x.shape as [number, number, number, number];
  return x.reshape([batch, time, keyHeads, heads / keyHeads, headDim]);
}

/** Which keys each query sees, bool [batch, 1, 1, time, keys]. */
function visible(first: Tensor, last: Tensor, keyPositions: Tensor): Tensor {
  const [batch, time] = first.shape as [number, number];
  const ofQuery = (x: Tensor) => x.reshape([batch, 1, 1, time, 1]);
  const key = keyPositions.reshape([batch, 1, 1, 1, keyPositions.shape[1]!]);
  return key.lessEqual(ofQuery(last)).and(key.greaterEqual(ofQuery(first.maximum(0))));
}

/** A score so low that its exponential is zero next to any other, yet finite, so that arithmetic on it never gives NaN. */
const hidden = -1e30;

/** Scores before the mask, [batch, keyHeads, group, time, keys], and tanh(score / softCap) where there is a cap. */
function scores(query: Tensor, key: Tensor, attrs: AttentionAttrs): { capped: Tensor; tanh: Tensor | null } {
  const { scale } = attrs;
  const raw = einsum("btmgh,bsmh->bmgts", grouped(query, key.shape[2]!), key, { scale }).cast("float32");
  if (attrs.softCap === null) return { capped: raw, tanh: null };
  const tanh = raw.mul(1 / attrs.softCap).tanh();
  return { capped: tanh.mul(attrs.softCap), tanh };
}

/** The probabilities of masked scores. A minimum with limits that all heads share is cheaper than a selection by the mask. */
function probabilities(capped: Tensor, mask: Tensor): Tensor {
  const constant = (value: number) => apply("full", [], { shape: [], dtype: "float32", value });
  return softmax(capped.minimum(apply("where", [mask, constant(-hidden), constant(hidden)], {})));
}

const factors = "b t (m g) h, b s m h, b s m h, b t, b t, b s";

/** The attention composites. */
export const attentions: CompositeTable<Attention> = {
  attention: {
    infer: (operands) => {
      check("attention", operands);
      return [operands[0]];
    },
    factors: () => `${factors.replaceAll("s", "!s").replaceAll(" h", " !h")} -> b t (m g) !h`,
    vjp: ([ct], operands, attrs, [out]) => {
      const [dq, dk, dv] = apply("attentionGrad", [...operands, out, ct], attrs);
      return [dq, dk, dv, null, null, null];
    },
    decompose: ([query, key, value, first, last, keyPositions], attrs) => {
      const { capped } = scores(query, key, attrs);
      const p = probabilities(capped, visible(first, last, keyPositions)).cast(value.dtype);
      return [einsum("bmgts,bsmh->btmgh", p, value).reshape(query.shape)];
    },
  },
  // With p the probabilities: dv = pᵀ ct, dp = ct vᵀ, dscore = p (dp - Σ out ct), times 1 - tanh² under a soft cap. A
  // query that sees no key has scores that depend on nothing, so its row of dscore is left out of dq and dk.
  attentionGrad: {
    infer: (operands) => {
      const [query, key, value, , , , out, ct] = operands;
      check("attentionGrad", operands);
      if (!sameType(query, out) || !sameType(query, ct)) {
        throw new TypeError(
          `Cannot attentionGrad with queries ${formatType(query)}, result ${formatType(out)} and cotangent ${
            formatType(ct)
          }: ` +
            "types must match",
        );
      }
      return [query, key, value];
    },
    factors: () => {
      const operands = factors.replaceAll("s", "!s").replaceAll(" h", " !h");
      return `${operands}, b t (m g) !h, b t (m g) !h -> b t (m g) !h, b !s m !h, b !s m !h`;
    },
    vjp: "decompose",
    decompose: ([query, key, value, first, last, keyPositions, out, ct], attrs) => {
      const keyHeads = key.shape[2]!;
      const { capped, tanh } = scores(query, key, attrs);
      const mask = visible(first, last, keyPositions);
      const p = probabilities(capped, mask);
      const dout = grouped(ct, keyHeads);
      const dv = einsum("bmgts,btmgh->bsmh", p.cast(value.dtype), dout);
      const dp = einsum("btmgh,bsmh->bmgts", dout, value).cast("float32");
      // [batch, keyHeads, group, time, 1]
      const inner = grouped(out.mul(ct), keyHeads).cast("float32").sum(-1, { keepDims: true }).transpose([
        0,
        2,
        3,
        1,
        4,
      ]);
      // [batch, 1, 1, time, 1]: 1 where a query sees some key, else 0.
      const seeing = mask.cast("float32").max(-1, { keepDims: true });
      const dmasked = dp.sub(inner).mul(p).mul(seeing);
      const one = apply("full", [], { shape: [], dtype: "float32", value: 1 });
      const ds = (tanh === null ? dmasked : dmasked.mul(one.sub(tanh.square()))).cast(query.dtype);
      const { scale } = attrs;
      const dq = einsum("bmgts,bsmh->btmgh", ds, key, { scale }).reshape(query.shape);
      const dk = einsum("bmgts,btmgh->bsmh", ds, grouped(query, keyHeads), { scale });
      return [dq, dk, dv];
    },
  },
};
