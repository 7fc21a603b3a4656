/**
 * Variables: a path, a shape and a dtype, and, once loaded or initialized, a value on a device.
 *
 * A variable's *logical* shape is the one that people and layout maps use, Keras's. Its *stored* array has the same
 * axes in the order that the checkpoint has them, so that loading copies nothing and matrix products read the weight as it
 * lies. `read` bridges the two with a transpose that the compiler folds away.
 */
import {
  bytesOf,
  codesShape,
  dequantize,
  type DType,
  type FloatDType,
  formatType,
  inversePermutation,
  isFloat,
  isIdentity,
  type QuantizationBits,
  type Tensor,
  type TensorType,
} from "@tessera/core";
import type { DeviceBuffer } from "@tessera/runtime";
import type { Initializer } from "./initializers.ts";
import { programVariable } from "./program.ts";
import type { VariableQuantization } from "./quantization.ts";

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
  /** The logical axes that its layer sums over, where the variable may be quantized; none, so that it may not, unless given. */
  readonly summed?: readonly number[];
  /** The fewest bits that it may be stored in, where it may be quantized; 4 unless given. */
  readonly fewestBits?: QuantizationBits;
  /** What each logical axis counts, in the plural, such as `["hidden units", "heads", "head units"]`; as its path says unless given. */
  readonly axes?: readonly string[];
  /** The variable whose layout it shares on a mesh, where no key of a layout map names it; none unless given. */
  readonly follows?: Follows;
}

/** Whose layout a variable shares on a mesh, axis by axis. */
export interface Follows {
  /** The variable that leads. */
  readonly variable: Variable;
  /** Per logical axis, the logical axis of the leader that it is sharded like, `"batch"` to be sharded as batches are, or `null`. */
  readonly axes: readonly (number | "batch" | null)[];
  /**
   * Whether the mesh axes of the batch shard none of the leader's axes here, so that each device holds all that its shard of
   * the batch needs; false unless given.
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
  /** How values are made when no checkpoint gives them. */
  readonly initializer: Initializer;
  /** What each logical axis counts, in the plural; left out where its path says. */
  readonly axes?: readonly string[];
  /** The variable whose layout it shares on a mesh; `null` for none. */
  readonly follows: Follows | null;
  /** The logical axes that its layer sums over; none when it may not be quantized. */
  readonly summed: readonly number[];
  /** The fewest bits that it may be stored in, where it may be quantized. */
  readonly fewestBits: QuantizationBits;
  /** The value, in the stored axis order; `null` before it is loaded or initialized. */
  value: DeviceBuffer | null = null;
  readonly #float: TensorType;
  #quantization: VariableQuantization | null = null;
  #trainable: boolean;

  /** Makes a variable without a value. */
  constructor(path: string, spec: VariableSpec) {
    this.path = path;
    this.shape = spec.shape;
    this.order = spec.order ?? spec.shape.map((_, axis) => axis);
    this.#float = { shape: this.order.map((axis) => spec.shape[axis]!), dtype: spec.dtype ?? "float32" };
    this.initializer = spec.initializer;
    if (spec.axes !== undefined) this.axes = spec.axes;
    this.follows = spec.follows ?? null;
    this.summed = spec.summed ?? [];
    this.fewestBits = spec.fewestBits ?? 4;
    this.#trainable = spec.trainable ?? true;
  }

  /** The type of the stored array: of the codes where it is quantized. */
  get stored(): TensorType {
    const { shape } = this.#float;
    const scheme = this.#quantization;
    return scheme === null ? this.#float : { shape: codesShape(shape, scheme.bits), dtype: "uint8" };
  }

  /** The shape of the elements in the stored axis order. */
  get storedShape(): readonly number[] {
    return this.#float.shape;
  }

  /** The dtype of the elements; of those that were rounded where it is quantized. */
  get dtype(): DType {
    return this.#float.dtype;
  }

  /** How it is stored in fewer bits; `null` when it is not. */
  get quantization(): VariableQuantization | null {
    return this.#quantization;
  }

  /** The size of what is stored, scales included, in bytes. */
  get bytes(): number {
    return bytesOf(this.stored) + (this.#quantization === null ? 0 : this.#quantization.scale.bytes);
  }

  /** Whether training changes it; never where it is quantized, whatever was asked for. */
  get trainable(): boolean {
    return this.#trainable && this.#quantization === null;
  }

  set trainable(trainable: boolean) {
    this.#trainable = trainable;
  }

  /**
   * Stores the value in fewer bits from now on.
   *
   * @throws {TypeError} when it has a value already.
   */
  quantize(scheme: VariableQuantization): void {
    if (this.value !== null) {
      throw new TypeError(`Cannot quantize ${this}: it has a value already; quantize while loading, before it has one`);
    }
    this.#quantization = scheme;
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
    const stored = this.#elements(dtype);
    return isIdentity(this.order) ? stored : stored.transpose(inversePermutation(this.order));
  }

  #elements(dtype: DType): Tensor {
    const scheme = this.#quantization;
    if (scheme === null) return this.raw().cast(dtype);
    const float: FloatDType = isFloat(dtype) ? dtype : "float32";
    return dequantize(this.raw(), scheme.scale.raw(), { bits: scheme.bits, dtype: float }).cast(dtype);
  }

  /** The path and the logical type, such as `final_normalization/scale float32[64]`. */
  toString(): string {
    return `${this.path} ${formatType({ dtype: this.dtype, shape: this.shape })}`;
  }
}
