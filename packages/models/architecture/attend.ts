/** Attention of a decoder block over its tokens, or over a cache after they are written to it. */
import { apply, attention, type AttentionOptions, inversePermutation, type Tensor } from "@tessera/core";
import { assign, type Variable } from "@tessera/nn";
import type { DecoderInputs } from "./backbone.ts";

/** Keys and values, [batch, keys, keyHeads, headDim] each. */
export interface KeyValue {
  /** What queries are compared to. */
  readonly key: Tensor;
  /** What is mixed. */
  readonly value: Tensor;
}

/**
 * Attention of one layer over its tokens, or, where there is a cache, over the cache after they are written to it.
 */
export function attend(
  inputs: DecoderInputs,
  layer: number,
  parts: { readonly query: Tensor } & KeyValue,
  options: AttentionOptions,
): Tensor {
  return attendTo(inputs, parts.query, remember(inputs, layer, parts), options);
}

/**
 * What one layer may look at: its tokens' keys and values or, where there is a cache, all that it holds after these are written to
 * it. Where the cache was empty, the tokens are all that there is to look at, so the rest of the cache is not read.
 */
export function remember({ cache }: DecoderInputs, layer: number, { key, value }: KeyValue): KeyValue {
  const stored = cache?.layers[layer] ?? null;
  if (cache === null || stored === null) return { key, value };
  const write = (variable: Variable, fresh: Tensor) => {
    const updated = writeAt(variable, fresh, cache.starts);
    return cache.empty ?? false ? fresh : updated.cast(fresh.dtype);
  };
  return { key: write(stored.key, key), value: write(stored.value, value) };
}

/** Attention of queries [batch, time, heads, headDim] over what `remember` gave, of this layer or of an earlier one. */
export function attendTo(
  { positions, keyPositions, prefix, lastSeen }: DecoderInputs,
  query: Tensor,
  { key, value }: KeyValue,
  options: AttentionOptions,
): Tensor {
  const masks = {
    queryPositions: positions,
    keyPositions,
    ...(prefix === undefined ? {} : { prefix }),
    ...(lastSeen === undefined ? {} : { lastSeen }),
  };
  return attention({ query, key, value, ...masks }, options);
}

/** Writes [batch, time, ..] into a variable [batch, length, ..] from each row's start on; gives the whole new value. */
export function writeAt(variable: Variable, fresh: Tensor, starts: Tensor): Tensor {
  const { order, stored } = variable;
  const update = fresh.cast(stored.dtype).transpose(order);
  const updated = apply("updateSlice", [variable.raw(), update, starts], { axis: order.indexOf(1) });
  assign(variable, updated);
  return updated.transpose(inversePermutation(order));
}
