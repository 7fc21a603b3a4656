/** Attention of a decoder block over its tokens, or over a cache after they are written to it. */
import { apply, attention, type AttentionOptions, inversePermutation, type Tensor } from "@tessera/core";
import { assign, type Variable } from "@tessera/nn";
import type { DecoderInputs } from "./backbone.ts";

/**
 * Attention of one layer over its tokens, or, where there is a cache, over the cache after they are written to it. Where the
 * cache was empty, the tokens are all that there is to look at, so the rest of the cache is not read.
 */
export function attend(
  inputs: DecoderInputs,
  layer: number,
  parts: { readonly query: Tensor; readonly key: Tensor; readonly value: Tensor },
  options: AttentionOptions,
): Tensor {
  const { cache, positions, keyPositions, prefix, lastSeen } = inputs;
  const stored = cache?.layers[layer];
  const remember = (variable: Variable, fresh: Tensor) => {
    const updated = writeAt(variable, fresh, cache!.starts);
    return cache!.empty ?? false ? fresh : updated.cast(fresh.dtype);
  };
  const key = stored === undefined ? parts.key : remember(stored.key, parts.key);
  const value = stored === undefined ? parts.value : remember(stored.value, parts.value);
  const masks = {
    queryPositions: positions,
    keyPositions,
    ...(prefix === undefined ? {} : { prefix }),
    ...(lastSeen === undefined ? {} : { lastSeen }),
  };
  return attention({ query: parts.query, key, value, ...masks }, options);
}

/** Writes [batch, time, ..] into a variable [batch, length, ..] from each row's start on; gives the whole new value. */
export function writeAt(variable: Variable, fresh: Tensor, starts: Tensor): Tensor {
  const { order, stored } = variable;
  const update = fresh.cast(stored.dtype).transpose(order);
  const updated = apply("updateSlice", [variable.raw(), update, starts], { axis: order.indexOf(1) });
  assign(variable, updated);
  return updated.transpose(inversePermutation(order));
}
