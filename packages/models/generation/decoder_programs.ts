/** The programs of a decoder: what each computes, over which variables. */
import { apply, einsum, iota, type Tensor, type TensorType } from "@tessera/core";
import { assign, traceProgram, Variable, zeros } from "@tessera/nn";
import type { DeviceBuffer } from "@tessera/runtime";
import type { Backbone, CacheLayer } from "../architecture/backbone.ts";
import { writeAt } from "../architecture/attend.ts";
import { cacheVariables, shownPositions, variablesOfCache } from "./cache.ts";
import type { Open } from "./program_store.ts";

/** What comes after the tokens read last; the caller disposes of it. */
export interface Prediction {
  /** The logits of the next token, float32 [batch, vocabulary]. */
  readonly logits: DeviceBuffer;
  /** The likeliest next token, int32 [batch]. */
  readonly token: DeviceBuffer;
  /** How alike the last token's hidden state is to the most alike before it, float32 [batch]; only of a decode that compares. */
  readonly similarity?: DeviceBuffer;
}

/** Frees a prediction. */
export function disposePrediction({ logits, token, similarity }: Prediction): void {
  for (const buffer of [logits, token, similarity]) buffer?.dispose();
}

/** The size of a cache. */
export interface CacheShape {
  /** The number of rows. */
  readonly batch: number;
  /** The number of tokens of each row that it has room for. */
  readonly length: number;
  /** Whether it keeps the hidden state of each token, so that later ones are compared to it. */
  readonly comparesHidden: boolean;
}

/** A name for the size of a cache. */
export function shapeKey({ batch, length, comparesHidden }: CacheShape): string {
  return `${batch}x${length}${comparesHidden ? " compared" : ""}`;
}

/** The variables of a cache. */
export interface CacheSlots {
  /** Keys and values, one entry per layer; `null` for layers that look at an earlier one's. */
  readonly layers: readonly (CacheLayer | null)[];
  /** The hidden state of each token, made one long, float32 [batch, length, hidden]; `null` when it is not kept. */
  readonly hidden: Variable | null;
  /** All of them. */
  readonly variables: readonly Variable[];
}

/** The variables of a cache of some size, without values; paths begin with the scope, `cache` unless given. */
export function cacheSlots(backbone: Backbone, cache: CacheShape, scope: string = "cache"): CacheSlots {
  const { batch, length, comparesHidden } = cache;
  const layers = cacheVariables(backbone, batch, length, { scope });
  const variables = variablesOfCache(layers);
  const hidden = comparesHidden
    ? new Variable(`${scope}/hidden`, {
      shape: [batch, length, backbone.hiddenDim],
      initializer: zeros(),
      trainable: false,
      // On a mesh, only rows are split, as those of the keys are.
      follows: { variable: variables[0]!, axes: ["batch", null, null] },
    })
    : null;
  return { layers, hidden, variables: hidden === null ? variables : [...variables, hidden] };
}

/** The type of images that programs of an architecture take. */
export function imagesType({ images }: Backbone, count: number): TensorType {
  const { size } = images!;
  return { shape: [count, size, size, 3], dtype: "float32" };
}

/**
 * Reads prompts [batch, time] of the given lengths into an empty cache, and predicts the token after each. A model whose images
 * stand before texts reads prompts as a prefix, whose tokens see each other.
 */
export function tracePrefill(backbone: Backbone, shape: CacheShape, time: number, imageCount = 0): Open {
  const { batch } = shape;
  const { layers, hidden: history, variables } = cacheSlots(backbone, shape);
  const types = {
    tokenIds: { shape: [batch, time], dtype: "int32" },
    lengths: { shape: [batch], dtype: "int32" },
    ...(imageCount === 0 ? {} : { images: imagesType(backbone, imageCount) }),
  } as const;
  const traced = traceProgram("prefill", types, ({ tokenIds, lengths, images }) => {
    const positions = iota([batch, time], 1);
    const keyPositions = shownPositions(positions.less(lengths.reshape([batch, 1])));
    const starts = lengths.mul(0);
    const hidden = backbone.hidden({
      tokenIds,
      positions,
      keyPositions,
      ...(backbone.images?.place === "start" ? { prefix: lengths } : {}),
      ...(images === undefined ? {} : { images }),
      cache: { layers, starts, empty: true },
    });
    if (history !== null) writeAt(history, unit(hidden), starts);
    return predict(backbone, hidden, lengths.sub(1));
  });
  return { traced, variables };
}

/** Reads one token per row at the given positions, and predicts the next. */
export function traceDecode(backbone: Backbone, shape: CacheShape): Open {
  const { batch, length } = shape;
  const { layers, hidden: history, variables } = cacheSlots(backbone, shape);
  const types = {
    tokenIds: { shape: [batch], dtype: "int32" },
    positions: { shape: [batch], dtype: "int32" },
  } as const;
  const traced = traceProgram("decode", types, ({ tokenIds, positions }) => {
    const at = positions.reshape([batch, 1]);
    const hidden = backbone.hidden({
      tokenIds: tokenIds.reshape([batch, 1]),
      positions: at,
      keyPositions: shownPositions(iota([batch, length], 1).lessEqual(at)),
      cache: { layers, starts: positions },
    });
    const prediction = predict(backbone, hidden, positions.mul(0));
    if (history === null) return prediction;
    const direction = unit(hidden);
    const all = writeAt(history, direction, positions);
    const cosines = einsum("bh,bsh->bs", direction.reshape([batch, -1]), all);
    // The token itself is not before it, nor is what an earlier use of the cache may have left behind it.
    const before = iota([batch, length], 1).less(at);
    const lowest = apply("full", [], { shape: [], dtype: "float32", value: -1 });
    return { ...prediction, similarity: apply("where", [before, cosines, lowest], {}).max(-1) };
  });
  return { traced, variables };
}

/** Moves the rows of a cache to the rows of another one of at least its length; those of the same size are one and the same. */
export function traceTransfer(backbone: Backbone, from: CacheShape, to: CacheShape): Open {
  const source = cacheSlots(backbone, from).variables;
  const isOne = shapeKey(from) === shapeKey(to);
  const target = isOne ? source : cacheSlots(backbone, to, "next_cache").variables;
  const traced = traceProgram("transfer", { rows: { shape: [to.batch], dtype: "int32" } }, ({ rows }) => {
    source.forEach((variable, i) => {
      const moved = variable.raw().gather(rows);
      const taker = target[i]!;
      const lengthAxis = taker.order.indexOf(1);
      assign(
        taker,
        isOne ? moved : apply("updateSlice", [taker.raw(), moved, rows.mul(0)], { axis: lengthAxis }),
      );
    });
    return {};
  });
  return { traced, variables: isOne ? source : [...source, ...target] };
}

/** What the token at `at` of each row of hidden states [batch, time, hidden] predicts. */
function predict(backbone: Backbone, hidden: Tensor, at: Tensor): { logits: Tensor; token: Tensor } {
  const [batch, time, hiddenDim] = hidden.shape as [number, number, number];
  const rows = iota([batch], 0).mul(time).add(at);
  const logits = backbone.logits(hidden.reshape([batch * time, hiddenDim]).gather(rows)).cast("float32");
  return { logits, token: logits.argMax(-1) };
}

/** Hidden states made one long, float32. */
function unit(hidden: Tensor): Tensor {
  const x = hidden.cast("float32");
  return x.mul(x.square().sum(-1, { keepDims: true }).rsqrt());
}
