/** Rotary position embedding (arXiv 2104.09864), in the split-half form that Gemma and Llama checkpoints use. */
import { formatType, type TensorType } from "../values/dtype.ts";
import { apply, type Tensor } from "../graph/tensor.ts";
import { concat } from "../ops/movement.ts";
import { requireDType, requireFloat, requireShape } from "../ops/infer.ts";
import type { CompositeTable } from "../ops/op.ts";

/** The signature of the rotary composite. */
export interface Rotary {
  /** Each pair (x[i], x[i + headDim/2]) rotated by its position times its frequency; `inverse` rotates back. */
  rotaryEmbedding: {
    operands: [x: TensorType, positions: TensorType, frequencies: TensorType];
    attrs: { readonly inverse: boolean };
    results: [y: TensorType];
  };
}

/**
 * Rotates each pair (x[i], x[i + headDim/2]) of `x` [batch, time, heads, headDim] by `positions` [batch, time] int32 times
 * `frequencies` [headDim/2] float32, in radians.
 *
 * @throws {TypeError} when the shapes or dtypes do not fit each other, or headDim is odd.
 */
export function rotaryEmbedding(x: Tensor, positions: Tensor, frequencies: Tensor): Tensor {
  return apply("rotaryEmbedding", [x, positions, frequencies], { inverse: false });
}

/** The rotary composite. */
export const rotary: CompositeTable<Rotary> = {
  rotaryEmbedding: {
    infer: ([x, positions, frequencies]) => {
      requireFloat("rotaryEmbedding", x);
      const [batch, time, , headDim] = x.shape;
      if (x.shape.length !== 4 || headDim! % 2 !== 0) {
        throw new TypeError(
          `Cannot rotaryEmbedding ${formatType(x)}: it must be [batch, time, heads, headDim] with headDim even`,
        );
      }
      requireDType("rotaryEmbedding", "the positions", positions, "int32");
      requireShape("rotaryEmbedding", "the positions", positions, [batch!, time!]);
      requireDType("rotaryEmbedding", "the frequencies", frequencies, "float32");
      requireShape("rotaryEmbedding", "the frequencies", frequencies, [headDim! / 2]);
      return [x];
    },
    factors: () => "b t n !h, b t, !f -> b t n !h",
    // A rotation's transpose is the rotation back. The frequencies are a table, not a parameter.
    vjp: ([ct], [, positions, frequencies], { inverse }) => [
      apply("rotaryEmbedding", [ct, positions, frequencies], { inverse: !inverse }),
      null,
      null,
    ],
    decompose: ([x, positions, frequencies], { inverse }) => {
      const [batch, time, , headDim] = x.shape as [number, number, number, number];
      const half = headDim / 2;
      // [batch, time, 1, half]
      const angles = positions.cast("float32").reshape([batch, time, 1, 1]).mul(frequencies);
      const cos = angles.cos().cast(x.dtype);
      const sin = angles.sin().cast(x.dtype);
      const low = x.sliceAxis(-1, 0, half);
      const high = x.sliceAxis(-1, half, headDim);
      const [a, b] = [high.mul(sin), low.mul(sin)];
      return [
        inverse
          ? concat([low.mul(cos).add(a), high.mul(cos).sub(b)], -1)
          : concat([low.mul(cos).sub(a), high.mul(cos).add(b)], -1),
      ];
    },
  },
};
