/**
 * The key/value cache: preallocated, updated in place, one pair of variables per layer.
 *
 * Its arrays are stored as [batch, keyHeads, length, headDim], because attention multiplies by one head's keys at a time: heads
 * lie one after the other, so that no step moves the cache to read it.
 */
import {
  apply,
  attention,
  type AttentionAttrs,
  type FloatDType,
  inversePermutation,
  iota,
  parseEinsum,
  type Tensor,
  where,
} from "@tessera/core";
import { assign, type Follows, putZeros, Variable, whereOf, zeros } from "@tessera/nn";
import type { Backend, Device } from "@tessera/runtime";
import type { Backbone, CacheLayer, DecoderInputs } from "../architecture/backbone.ts";

/** The order in which a cache [batch, length, keyHeads, headDim] is stored. */
const storedOrder = [0, 2, 1, 3];

/**
 * Attention of one layer over its tokens, or, where there is a cache, over the cache after they are written to it. Where the
 * cache was empty, the tokens are all that there is to look at, so the rest of the cache is not read.
 */
export function attend(
  inputs: DecoderInputs,
  layer: number,
  parts: { readonly query: Tensor; readonly key: Tensor; readonly value: Tensor },
  attrs: AttentionAttrs,
): Tensor {
  const { cache, positions, keyPositions, prefix } = inputs;
  const stored = cache?.layers[layer];
  const remember = (variable: Variable, fresh: Tensor) => {
    const updated = writeAt(variable, fresh, cache!.starts);
    return cache!.empty ?? false ? fresh : updated.cast(fresh.dtype);
  };
  const key = stored === undefined ? parts.key : remember(stored.key, parts.key);
  const value = stored === undefined ? parts.value : remember(stored.value, parts.value);
  const masks = { queryPositions: positions, keyPositions, ...(prefix === undefined ? {} : { prefix }) };
  return attention({ query: parts.query, key, value, ...masks }, attrs);
}

/** Writes [batch, time, ..] into a variable [batch, length, ..] from each row's start on; gives the whole new value. */
export function writeAt(variable: Variable, fresh: Tensor, starts: Tensor): Tensor {
  const { order, stored } = variable;
  const update = fresh.cast(stored.dtype).transpose(order);
  const updated = apply("updateSlice", [variable.raw(), update, starts], { axis: order.indexOf(1) });
  assign(variable, updated);
  return updated.transpose(inversePermutation(order));
}

/** A cache for a batch, `length` tokens long, filled with zeros. */
export function allocateCache(
  backbone: Backbone,
  batch: number,
  length: number,
  backend: Backend,
  options: { readonly dtype?: FloatDType; readonly device?: Device } = {},
): CacheLayer[] {
  const layers = cacheVariables(backbone, batch, length, options);
  for (const variable of layers.flatMap(({ key, value }) => [key, value])) {
    putZeros(variable, backend, options.device ?? whereOf(variable));
  }
  return layers;
}

/** The variables of a cache, without values; paths begin with the scope, `cache` unless given. */
export function cacheVariables(
  backbone: Backbone,
  batch: number,
  length: number,
  options: { readonly dtype?: FloatDType; readonly scope?: string } = {},
): CacheLayer[] {
  const { dtype = backbone.compute, scope = "cache" } = options;
  const shape = [batch, length, ...backbone.cacheShape];
  const make = (block: number, name: string) => {
    return new Variable(`${scope}/decoder_block_${block}/${name}`, {
      shape,
      dtype,
      order: storedOrder,
      initializer: zeros(),
      trainable: false,
      ...followsProjection(backbone, block, name),
    });
  };
  return Array.from({ length: backbone.numLayers }, (_, i) => ({ key: make(i, "key"), value: make(i, "value") }));
}

/** What a cache [batch, length, keyHeads, headDim] is split like: batches, and the axes of the kernel that its projection keeps. */
function followsProjection({ denses }: Backbone, block: number, name: string): { readonly follows?: Follows } {
  const layer = denses.find(({ path }) => path.includes(`_${block}/`) && path.endsWith(`/${name}`));
  if (layer === undefined) return {};
  const { b: kernel, out } = parseEinsum(layer.equation);
  const axes = [...out].map((letter, axis) => {
    if (axis === 0) return "batch";
    const found = kernel.indexOf(letter);
    return found < 0 ? null : found;
  });
  return { follows: { variable: layer.kernel, axes, spareBatchAxes: true } };
}

/** Frees a cache. */
export function disposeCache(layers: readonly CacheLayer[]): void {
  for (const { key, value } of layers) {
    key.value?.dispose();
    value.value?.dispose();
  }
}

/** Positions 0, 1, … where `shown` holds and -1 elsewhere, int32 of the shape of `shown`: key positions from a padding mask. */
export function shownPositions(shown: Tensor): Tensor {
  const positions = iota(shown.shape, shown.rank - 1);
  return where(shown, positions, apply("full", [], { shape: [], dtype: "int32", value: -1 }));
}
