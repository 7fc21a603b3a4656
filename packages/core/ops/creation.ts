/** Ops that make a tensor from nothing but their attributes. */
import { type DType, sizeOf, type TensorType } from "../dtype.ts";
import { axisNames } from "./infer.ts";
import type { OpTable } from "./op.ts";

/** The signatures of the creation family. */
export interface Creation {
  full: {
    operands: [];
    attrs: { readonly shape: readonly number[]; readonly dtype: DType; readonly value: number };
    results: [y: TensorType];
  };
  constant: {
    operands: [];
    attrs: { readonly shape: readonly number[]; readonly dtype: DType; readonly values: readonly number[] };
    results: [y: TensorType];
  };
  iota: {
    operands: [];
    attrs: { readonly shape: readonly number[]; readonly dtype: DType; readonly axis: number };
    results: [y: TensorType];
  };
}

function freeFactors(shape: readonly number[]): string {
  return `-> ${axisNames(shape.length).join(" ")}`;
}

/** The creation family. */
export const creation: OpTable<Creation> = {
  // Every element is `value`.
  full: {
    infer: (_, { shape, dtype }) => [{ shape, dtype }],
    factors: (_, { shape }) => freeFactors(shape),
    vjp: () => [],
  },
  // The elements are `values`, row-major; meant for small tables.
  constant: {
    infer: (_, { shape, dtype, values }) => {
      if (values.length !== sizeOf(shape)) {
        throw new RangeError(
          `Cannot make a constant of shape [${shape.join(",")}]: it needs ${sizeOf(shape)} values, found ${values.length}`,
        );
      }
      return [{ shape, dtype }];
    },
    factors: (_, { shape }) => `-> ${axisNames(shape.length).map((name) => "!" + name).join(" ")}`,
    vjp: () => [],
  },
  // Each element is its position along `axis`.
  iota: {
    infer: (_, { shape, dtype, axis }) => {
      if (axis < 0 || axis >= shape.length) {
        throw new RangeError(`Cannot count along axis ${axis} of shape [${shape.join(",")}]: there is no such axis`);
      }
      return [{ shape, dtype }];
    },
    factors: (_, { shape, axis }) =>
      `-> ${axisNames(shape.length).map((name, i) => i === axis ? "!" + name : name).join(" ")}`,
    vjp: () => [],
  },
};
