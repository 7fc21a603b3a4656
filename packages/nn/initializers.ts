/** Ways to make the first values of a variable. Values depend on the seed and the path alone. */
import { normal, type RandomKey, sizeOf, uniform } from "@tessera/core";

/** Makes the elements of an array of a shape from a random key. */
export type Initializer = (shape: readonly number[], key: RandomKey) => Float32Array<ArrayBuffer>;

/** All elements zero. */
export function zeros(): Initializer {
  return (shape) => new Float32Array(sizeOf(shape));
}

/** All elements one. */
export function ones(): Initializer {
  return (shape) => new Float32Array(sizeOf(shape)).fill(1);
}

/** Normal with mean zero and the given deviation. */
export function randomNormal(deviation: number): Initializer {
  return (shape, key) => normal(key, sizeOf(shape)).map((value) => value * deviation);
}

/** Uniform between minus and plus the bound. */
export function randomUniform(bound: number): Initializer {
  return (shape, key) => uniform(key, sizeOf(shape)).map((value) => (2 * value - 1) * bound);
}

/** Uniform within ±√(6 / fanIn) (He et al., arXiv 1502.01852): how Keras starts LoRA's A factor. */
export function heUniform(fanIn: number): Initializer {
  return randomUniform(Math.sqrt(6 / fanIn));
}

/** Uniform within ±1/√fanIn: how PEFT starts LoRA's A factor (Kaiming with a = √5). */
export function kaimingUniform(fanIn: number): Initializer {
  return randomUniform(1 / Math.sqrt(fanIn));
}
