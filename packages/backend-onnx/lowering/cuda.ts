/**
 * What ONNX Runtime's CUDA engine has kernels for.
 *
 * A node without one would run on the processor, with copies of its operands and results around it, so none may be left: a
 * program with such a node does not compile. Which nodes those are was found by compiling all samples of all ops with the
 * engine of ONNX Runtime 1.30.0; see `docs/decisions/0029-onnx-cuda.md`.
 */

import type { Initializer, OnnxValue } from "../model/description.ts";
import { cpuSupport } from "./lower.ts";
import { lowerQuantizedEinsum } from "./quantization.ts";
import { onnxLowering } from "./table.ts";
import type { NodeToWrite, Substitutes, Target } from "./target.ts";
import type { Writer } from "./writer.ts";

/** The same node on float64, which holds every int32. */
function inFloat64(op: string) {
  return (writer: Writer, { inputs, type, attributes }: NodeToWrite): OnnxValue | null => {
    if (inputs[0]!.dtype !== "int32") return null;
    const wide = inputs.map((input) => input?.dtype === "int32" ? writer.cast(input, "float64") : input);
    if (type.dtype !== "int32") return writer.node(op, wide, type, { attributes });
    return writer.cast(writer.node(op, wide, { ...type, dtype: "float64" }, { attributes }), "int32");
  };
}

/** The only element of a constant of uint8. */
function byteOf(value: OnnxValue): number {
  const { bytes } = value as Partial<Initializer>;
  if (bytes?.length !== 1) throw new TypeError(`Cannot take bits of bytes by "${value.name}": a constant is needed`);
  return bytes[0]!;
}

/** A byte divided by a power of two, as an int32. */
function quotient(writer: Writer, byte: OnnxValue, divisor: number): { whole: OnnxValue; part: OnnxValue } {
  const type = { dtype: "int32", shape: byte.shape } as const;
  const by = writer.constant("int32", [], [divisor]);
  const whole = writer.cast(byte, "int32");
  return { whole, part: writer.node("Div", [whole, by], type) };
}

const substitutes: Substitutes = {
  // The kernel refuses what has no axes.
  Gelu: (writer, { inputs: [x], type, attributes }) => {
    if (type.shape.length > 0) return null;
    const row = writer.reshape(x!, [1]);
    return writer.reshape(writer.node("Gelu", [row], row, { attributes }), []);
  },
  ArgMax: inFloat64("ArgMax"),
  Pad: inFloat64("Pad"),
  // These have kernels for int32, which reduce it as float32.
  ReduceSum: inFloat64("ReduceSum"),
  ReduceMax: inFloat64("ReduceMax"),
  ReduceMin: inFloat64("ReduceMin"),
  BitShift: (writer, { inputs: [byte, places] }) =>
    writer.cast(quotient(writer, byte!, 2 ** byteOf(places!)).part, "uint8"),
  // A mask of the lowest bits is what remains after a division.
  BitwiseAnd: (writer, { inputs: [byte, mask] }) => {
    const divisor = byteOf(mask!) + 1;
    const { whole, part } = quotient(writer, byte!, divisor);
    const multiple = writer.node("Mul", [part, writer.constant("int32", [], [divisor])], part);
    return writer.cast(writer.node("Sub", [whole, multiple], part), "uint8");
  },
};

/** ONNX Runtime on a GPU of NVIDIA. */
export const cudaTarget: Target = {
  support: cpuSupport,
  rules: {
    ...onnxLowering,
    // Products in integers are the processor's; without rounding of the input they are products of floats.
    quantizedEinsum: (writer, operands, attrs, node) => [
      lowerQuantizedEinsum(writer, operands, { ...attrs, roundInput: false }, node.results[0]!.type),
    ],
  },
  substitutes,
};
