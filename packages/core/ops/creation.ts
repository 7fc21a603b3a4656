/** Ops that make a tensor from their attributes alone. */
import { type DType, formatType, sizeOf, type TensorType } from "../values/dtype.ts";
import { axisNames } from "./infer.ts";
import type { OpTable } from "./op.ts";

/** The signatures of the creation family. */
export interface Creation {
  /** A tensor whose elements are all `value`. */
  full: {
    operands: [];
    attrs: { readonly shape: readonly number[]; readonly dtype: DType; readonly value: number };
    results: [y: TensorType];
  };
  /** A tensor of given elements, row-major; meant for small tables. */
  constant: {
    operands: [];
    attrs: { readonly shape: readonly number[]; readonly dtype: DType; readonly values: readonly number[] };
    results: [y: TensorType];
  };
  /** A tensor whose elements are their positions along `axis`. */
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
  full: {
    infer: (_, { shape, dtype, value }) => {
      if (dtype === "int32" && !Number.isInteger(value)) {
        throw new RangeError(
          `Cannot fill int32[${shape.join(",")}] with ${value}: it is not an integer; cast to a float first`,
        );
      }
      return [{ shape, dtype }];
    },
    factors: (_, { shape }) => freeFactors(shape),
    vjp: () => [],
  },
  constant: {
    infer: (_, { shape, dtype, values }) => {
      if (values.length !== sizeOf(shape)) {
        throw new RangeError(
          `Cannot make a constant of ${formatType({ shape, dtype })}: ${
            sizeOf(shape)
          } values are needed, found ${values.length}`,
        );
      }
      return [{ shape, dtype }];
    },
    factors: (_, { shape }) => `-> ${axisNames(shape.length).map((name) => "!" + name).join(" ")}`,
    vjp: () => [],
  },
  iota: {
    infer: (_, { shape, dtype, axis }) => {
      if (axis < 0 || axis >= shape.length) {
        throw new RangeError(
          `Cannot count along axis ${axis} of ${formatType({ shape, dtype })}: it has ${shape.length} axes`,
        );
      }
      return [{ shape, dtype }];
    },
    factors: (_, { shape, axis }) =>
      `-> ${axisNames(shape.length).map((name, i) => i === axis ? "!" + name : name).join(" ")}`,
    vjp: () => [],
  },
};
