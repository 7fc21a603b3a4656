/** Dense layers as one einsum, and the place where an adapter is attached. */
import {
  dequantize,
  type DType,
  einsum,
  type FloatDType,
  parseEinsum,
  quantizedEinsum,
  type Tensor,
} from "@tessera/core";
import { type Initializer, zeros } from "./initializers.ts";
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
  /** What each logical axis of the kernel counts; see `VariableSpec.axes`. */
  readonly axes?: readonly string[];
  /** The dtype of the stored kernel. */
  readonly dtype: DType;
  /** How values are made when no checkpoint gives them. */
  readonly initializer: Initializer;
  /** Whether a bias is added, with the output axes that the kernel has; false unless given. */
  readonly bias?: boolean;
  /** The name of the tensor that it shares with other layers in checkpoints, such as `qkv_proj`; none unless given. */
  readonly fused?: string;
}

/** A dense layer, with or without bias. */
export interface EinsumDense {
  /** The path of the layer, such as `decoder_block_0/attention/query`. */
  readonly path: string;
  /** The product of input and kernel. */
  readonly equation: string;
  /** The weights. */
  readonly kernel: Variable;
  /** What is added to each output, with the output axes that the kernel has; `null` for nothing. */
  readonly bias: Variable | null;
  /** The path of the tensor that it shares with other layers in checkpoints, such as `decoder_block_0/attention/qkv_proj`; `null` for none. */
  readonly fused: string | null;
  /** What is added to the output; `null` for nothing. */
  adapter: Adapter | null;
}

/** Makes a dense layer whose kernel is `<name>/kernel` and whose bias, if it has one, is `<name>/bias`. */
export function einsumDense(scope: Scope, name: string, spec: EinsumDenseSpec): EinsumDense {
  const { b, out } = parseEinsum(spec.equation);
  const summed = [...b].flatMap((letter, axis) => out.includes(letter) ? [] : [axis]);
  const { equation, bias: isBiased = false, fused, ...given } = spec;
  const inner = scope.scope(name);
  const kernel = inner.variable("kernel", { ...given, summed });
  const kept = [...out].filter((letter) => b.includes(letter)).map((letter) => b.indexOf(letter));
  const bias = isBiased
    ? inner.variable("bias", {
      shape: kept.map((axis) => spec.shape[axis]!),
      ...(spec.axes === undefined ? {} : { axes: kept.map((axis) => spec.axes![axis]!) }),
      dtype: spec.dtype,
      initializer: zeros(),
    })
    : null;
  const layer: EinsumDense = {
    path: inner.path,
    equation,
    kernel,
    bias,
    fused: fused === undefined ? null : scope.pathOf(fused),
    adapter: null,
  };
  scope.registry.denses.push(layer);
  return layer;
}

/** The output of a dense layer, computed in the dtype of `x`. */
export function applyDense(layer: EinsumDense, x: Tensor): Tensor {
  const product = contract(layer.equation, x, layer.kernel);
  const adapted = layer.adapter === null ? product : product.add(layer.adapter.apply(x));
  // Last: on a mesh, product and adapter are both partial sums where the kernel is sharded along a summed axis.
  return activation(layer.path, layer.bias === null ? adapted : adapted.add(layer.bias.read(x.dtype)));
}

/** The einsum of a tensor and a variable in its logical axes, in the dtype of the tensor; of codes and scales where it is quantized. */
export function contract(equation: string, x: Tensor, variable: Variable): Tensor {
  const scheme = variable.quantization;
  if (scheme === null) return einsum(equation, x, variable.read(x.dtype));
  const { a, b, out } = parseEinsum(equation);
  const stored = variable.order.map((axis) => b[axis]!).join("");
  const weight = { codes: variable.raw(), scales: scheme.scale.raw(), bits: scheme.bits };
  return quantizedEinsum(`${a},${stored}->${out}`, x, weight, { roundInput: true });
}

/** The rows of a table [rows, ..] at int32 positions [..], in a dtype to compute in. */
export function lookup(table: Variable, indices: Tensor, dtype: FloatDType): Tensor {
  const scheme = table.quantization;
  if (scheme === null) return table.read().gather(indices).cast(dtype);
  const [codes, scales] = [table.raw().gather(indices), scheme.scale.raw().gather(indices)];
  return dequantize(codes, scales, { bits: scheme.bits, dtype });
}
