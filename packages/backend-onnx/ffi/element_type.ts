/** ONNX's numbers for element types, and ours. */

import type { DType } from "@tessera/core";

/** An element type that a model may contain: ours, those that ONNX wants for shapes and axes, and one that holds every int32. */
export type ElementType = DType | "int64" | "int8" | "float64";

/** ONNX's numbers for element types (`TensorProto.DataType`), which ONNX Runtime shares. */
export const elementTypes: Readonly<Record<ElementType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  bfloat16: 16,
};
