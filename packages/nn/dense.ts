/** Dense layers as one einsum, and the place where an adapter is attached. */
import { type DType, einsum, parseEinsum, type Tensor } from "@tessera/core";
import type { Initializer } from "./initializers.ts";
import { activation } from "./program.ts";
import type { Scope } from "./scope.ts";
import type { Variable } from "./variable.ts";

/** Something that is added to a dense layer's output, such as a low-rank product. */
export interface Adapter {
  /** The variables that it trains. */
  readonly variables: readonly Variable[];
  /** What is added to the layer's output on `x`, in the dtype of `x`. */
  readonly apply: (x: Tensor) => Tensor;
}

/** What a dense layer is made from. */
export interface EinsumDenseSpec {
  /** The product of input and kernel, such as `"btd,ndh->btnh"`. */
  readonly equation: string;
  /** The logical shape of the kernel, in the order of the equation's letters. */
  readonly shape: readonly number[];
  /** The logical axis that each stored axis is; see `VariableSpec.order`. */
  readonly order?: readonly number[];
  /** The dtype of the stored kernel. */
  readonly dtype: DType;
  /** How values are made when no checkpoint gives them. */
  readonly initializer: Initializer;
}

/** A dense layer without bias. */
export interface EinsumDense {
  /** The path of the layer, such as `decoder_block_0/attention/query`. */
  readonly path: string;
  /** The product of input and kernel. */
  readonly equation: string;
  /** The weights. */
  readonly kernel: Variable;
  /** What is added to the output; `null` for nothing. */
  adapter: Adapter | null;
}

/** Makes a dense layer whose kernel is `<name>/kernel`. */
export function einsumDense(scope: Scope, name: string, spec: EinsumDenseSpec): EinsumDense {
  parseEinsum(spec.equation);
  const { equation, ...kernel } = spec;
  const inner = scope.scope(name);
  const layer: EinsumDense = { path: inner.path, equation, kernel: inner.variable("kernel", kernel), adapter: null };
  scope.registry.denses.push(layer);
  return layer;
}

/** The output of a dense layer, computed in the dtype of `x`. */
export function applyDense(layer: EinsumDense, x: Tensor): Tensor {
  const y = einsum(layer.equation, x, layer.kernel.read(x.dtype));
  return activation(layer.path, layer.adapter === null ? y : y.add(layer.adapter.apply(x)));
}
