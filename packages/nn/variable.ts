/**
 * Variables: a path, a shape and a dtype, and, once loaded or initialised, a value on a device.
 *
 * A variable's *logical* shape is the one that people and layout maps speak of, Keras's. Its *stored* array has the same
 * axes in the order that the checkpoint has them, so that loading copies nothing and matrix products read the weight as it
 * lies. `read` bridges the two with a transpose that the compiler folds away.
 */
import { type DType, inversePermutation, isIdentity, type Tensor, type TensorType } from "@tessera/core";
import type { Buffer } from "@tessera/runtime";
import type { Initializer } from "./initializers.ts";
import { programVariable } from "./program.ts";

/** What a variable is made from. */
export interface VariableSpec {
  /** The logical shape. */
  readonly shape: readonly number[];
  /** The dtype of the stored array; float32 unless given. */
  readonly dtype?: DType;
  /** The logical axis that each stored axis is; as they stand unless given. */
  readonly order?: readonly number[];
  /** How values are made when no checkpoint gives them. */
  readonly initializer: Initializer;
  /** Whether training changes it; true unless given. */
  readonly trainable?: boolean;
  /** The variable whose layout it shares on a mesh, where no key of a layout map names it; none unless given. */
  readonly follows?: Follows;
}

/** Whose layout a variable shares on a mesh, axis by axis. */
export interface Follows {
  /** The variable that leads. */
  readonly variable: Variable;
  /** Per logical axis, the logical axis of the leader that it is split like, `"batch"` to be split as batches are, or `null`. */
  readonly axes: readonly (number | "batch" | null)[];
  /**
   * Whether mesh axes that split batches split none of the leader's axes here, so that each device holds all that its share of
   * a batch needs; false unless given.
   */
  readonly spareBatchAxes?: boolean;
}

/** A named tensor that outlives the programs that use it. */
export class Variable {
  /** The name by which layouts, checkpoints and people find it, such as `decoder_block_1/attention/query/kernel`. */
  readonly path: string;
  /** The logical shape. */
  readonly shape: readonly number[];
  /** The logical axis that each stored axis is. */
  readonly order: readonly number[];
  /** The type of the stored array. */
  readonly stored: TensorType;
  /** How values are made when no checkpoint gives them. */
  readonly initializer: Initializer;
  /** The variable whose layout it shares on a mesh; `null` for none. */
  readonly follows: Follows | null;
  /** Whether training changes it. */
  trainable: boolean;
  /** The value, in the stored axis order; `null` before it is loaded or initialised. */
  value: Buffer | null = null;

  /** Makes a variable without a value. */
  constructor(path: string, spec: VariableSpec) {
    this.path = path;
    this.shape = spec.shape;
    this.order = spec.order ?? spec.shape.map((_, axis) => axis);
    this.stored = { shape: this.order.map((axis) => spec.shape[axis]!), dtype: spec.dtype ?? "float32" };
    this.initializer = spec.initializer;
    this.follows = spec.follows ?? null;
    this.trainable = spec.trainable ?? true;
  }

  /** The dtype of the stored array. */
  get dtype(): DType {
    return this.stored.dtype;
  }

  /** The number of elements. */
  get size(): number {
    return this.shape.reduce((product, length) => product * length, 1);
  }

  /** The stored array, as an input of the program that is being traced. */
  raw(): Tensor {
    return programVariable(this);
  }

  /** The variable in its logical shape, in a dtype to compute in, within the program that is being traced. */
  read(dtype: DType = this.dtype): Tensor {
    const stored = this.raw().cast(dtype);
    return isIdentity(this.order) ? stored : stored.transpose(inversePermutation(this.order));
  }

  /** The path and the logical type, such as `final_normalization/scale float32[64]`. */
  toString(): string {
    return `${this.path} ${this.dtype}[${this.shape.join(",")}]`;
  }
}
