/**
 * The key/value cache: preallocated, updated in place, one pair of variables per layer.
 *
 * Its arrays are stored as [batch, keyHeads, length, headDim], because attention multiplies by one head's keys at a time: heads
 * lie one after the other, so that no step moves the cache to read it.
 */
import { apply, type FloatDType, iota, parseEinsum, type Tensor, where } from "@tessera/core";
import { type EinsumDense, type Follows, putZeros, Variable, whereOf, zeros } from "@tessera/nn";
import type { Backend, Device } from "@tessera/runtime";
import type { Backbone, CacheLayer } from "../architecture/backbone.ts";

/** The order in which a cache [batch, length, keyHeads, headDim] is stored. */
const storedOrder = [0, 2, 1, 3];

/** A cache for a batch, `length` tokens long, filled with zeros. */
export function allocateCache(
  backbone: Backbone,
  batch: number,
  length: number,
  backend: Backend,
  options: { readonly dtype?: FloatDType; readonly device?: Device } = {},
): (CacheLayer | null)[] {
  const layers = cacheVariables(backbone, batch, length, options);
  for (const variable of variablesOfCache(layers)) {
    putZeros(variable, backend, options.device ?? whereOf(variable));
  }
  return layers;
}

/**
 * The variables of a cache, without values, an entry per layer; `null` for layers that look at an earlier one's. Paths begin with
 * the scope, `cache` unless given.
 */
export function cacheVariables(
  backbone: Pick<Backbone, "decoder" | "blockPaths" | "compute">,
  batch: number,
  length: number,
  options: { readonly dtype?: FloatDType; readonly scope?: string } = {},
): (CacheLayer | null)[] {
  const { dtype = backbone.compute, scope = "cache" } = options;
  return backbone.decoder.blocks.map((block, i) => {
    if (block === null) return null;
    const make = (name: "key" | "value") =>
      new Variable(`${scope}/${backbone.blockPaths[i]}/${name}`, {
        shape: [batch, length, ...outputShape(block[name])],
        dtype,
        order: storedOrder,
        initializer: zeros(),
        trainable: false,
        follows: followsProjection(block[name]),
      });
    return { key: make("key"), value: make("value") };
  });
}

/** The variables of a cache in the order of its layers. */
export function variablesOfCache(layers: readonly (CacheLayer | null)[]): Variable[] {
  return layers.flatMap((layer) => layer === null ? [] : [layer.key, layer.value]);
}

/** What a projection makes of one token: [keyHeads, headDim]. */
function outputShape({ equation, kernel }: EinsumDense): number[] {
  const { b: letters, out } = parseEinsum(equation);
  return kernel.shape.filter((_, axis) => out.includes(letters[axis]!));
}

/** What a cache [batch, length, keyHeads, headDim] is sharded like: batches, and the axes of the kernel that its projection keeps. */
function followsProjection({ equation, kernel }: EinsumDense): Follows {
  const { b: letters, out } = parseEinsum(equation);
  const axes = [...out].map((letter, axis) => {
    if (axis === 0) return "batch";
    const found = letters.indexOf(letter);
    return found < 0 ? null : found;
  });
  return { variable: kernel, axes, spareBatchAxes: true };
}

/** Frees a cache. */
export function disposeCache(layers: readonly (CacheLayer | null)[]): void {
  for (const { value } of variablesOfCache(layers)) value?.dispose();
}

/** Positions 0, 1, … where `shown` holds and -1 elsewhere, int32 of the shape of `shown`: key positions from a padding mask. */
export function shownPositions(shown: Tensor): Tensor {
  const positions = iota(shown.shape, shown.rank - 1);
  return where(shown, positions, apply("full", [], { shape: [], dtype: "int32", value: -1 }));
}
