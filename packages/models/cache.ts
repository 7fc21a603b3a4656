/** The key/value cache: preallocated, updated in place, one pair of variables per layer. */
import {
  apply,
  attention,
  type AttentionAttrs,
  type FloatDType,
  hostZeros,
  iota,
  parseEinsum,
  type Tensor,
  where,
} from "@tessera/core";
import { assign, type Follows, Variable, zeros } from "@tessera/nn";
import type { Backend, Device } from "@tessera/runtime";
import type { Backbone, CacheLayer, DecoderInputs } from "./backbone.ts";

/** Attention of one layer over its tokens, or, where there is a cache, over the cache after they are written to it. */
export function attend(
  inputs: DecoderInputs,
  layer: number,
  parts: { readonly query: Tensor; readonly key: Tensor; readonly value: Tensor },
  attrs: AttentionAttrs,
): Tensor {
  const { cache, positions, keyPositions, prefix } = inputs;
  const stored = cache?.layers[layer];
  const remember = (variable: Variable, fresh: Tensor) => {
    const updated = apply("updateSlice", [variable.raw(), fresh.cast(variable.stored.dtype), cache!.starts], {
      axis: 1,
    });
    assign(variable, updated);
    return updated.cast(fresh.dtype);
  };
  const key = stored === undefined ? parts.key : remember(stored.key, parts.key);
  const value = stored === undefined ? parts.value : remember(stored.value, parts.value);
  const masks = { queryPositions: positions, keyPositions, ...(prefix === undefined ? {} : { prefix }) };
  return attention({ query: parts.query, key, value, ...masks }, attrs);
}

/** A cache for a batch, `length` tokens long, filled with zeros. */
export function allocateCache(
  backbone: Backbone,
  batch: number,
  length: number,
  backend: Backend,
  options: { readonly dtype?: FloatDType; readonly device?: Device } = {},
): CacheLayer[] {
  const dtype = options.dtype ?? backbone.compute;
  const shape = [batch, length, ...backbone.cacheShape];
  const make = (block: number, name: string) => {
    const variable = new Variable(`cache/decoder_block_${block}/${name}`, {
      shape,
      dtype,
      initializer: zeros(),
      trainable: false,
      ...followsProjection(backbone, block, name),
    });
    variable.value = backend.upload(hostZeros(dtype, shape), options.device);
    return variable;
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
