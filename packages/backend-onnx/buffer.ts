/** Tensors on a device of ONNX Runtime. */

import { formatType, type HostTensor, sameType, type TensorType } from "@tessera/core";
import type { Buffer, Device } from "@tessera/runtime";
import type { Environment } from "./ffi/environment.ts";
import { bytesOfValue, type OrtValue, readValue } from "./ffi/value.ts";
import { endTurn, idle, newTurns, takeTurn, type Turns } from "./turns.ts";

/** A buffer over an `OrtValue`, which a run may replace by another one of the same type. */
export class OnnxBuffer implements Buffer {
  /** The shape and element type. */
  readonly type: TensorType;
  /** The device that holds it. */
  readonly device: Device;
  /** Which runs use it now. */
  readonly turns: Turns = newTurns();
  #environment: Environment;
  #value: OrtValue | null;

  /** Takes charge of a value. */
  constructor(environment: Environment, device: Device, value: OrtValue) {
    this.type = value.type;
    this.device = device;
    this.#environment = environment;
    this.#value = value;
  }

  /**
   * The value that holds the content now.
   *
   * @throws {TypeError} when the buffer was disposed.
   */
  get value(): OrtValue {
    if (this.#value === null) throw new TypeError(`Cannot use a ${formatType(this.type)} buffer that was disposed`);
    return this.#value;
  }

  /** Tells whether the buffer was disposed. */
  get disposed(): boolean {
    return this.#value === null;
  }

  /** Puts another value in place of the one that holds the content, and frees that one. */
  replace(value: OrtValue): void {
    const before = this.#value;
    if (before === null) value.release();
    else {
      this.#value = value;
      before.release();
    }
  }

  /** Copies the content to the host, after the runs that write it. */
  async read(): Promise<HostTensor> {
    this.value;
    while (this.turns.writer !== null) await this.turns.writer;
    return { ...this.type, data: readValue(this.#environment, this.value) };
  }

  /** Replaces the content, after the runs that use it. */
  async write(tensor: HostTensor): Promise<void> {
    this.value;
    if (!sameType(tensor, this.type)) {
      throw new TypeError(`Cannot write ${formatType(tensor)} to a buffer of ${formatType(this.type)}: types must match`);
    }
    const { promise: done, resolve } = Promise.withResolvers<void>();
    const waits: Promise<void>[] = [];
    takeTurn(this.turns, "write", done, waits);
    try {
      await Promise.all(waits);
      const { buffer, byteOffset, byteLength } = tensor.data;
      bytesOfValue(this.#environment, this.value).set(new Uint8Array(buffer, byteOffset, byteLength));
    } finally {
      endTurn(this.turns, done);
      resolve();
    }
  }

  /** Frees the memory, after the runs that use it. */
  dispose(): void {
    const value = this.#value;
    if (value === null) return;
    const users = idle(this.turns);
    if (users === null) {
      this.#value = null;
      value.release();
    } else {
      users.then(() => this.dispose());
    }
  }
}
