/** Tensors on a device of ONNX Runtime. */

import { formatType, type HostTensor, sameType, type TensorType } from "@tessera/core";
import type { Device, DeviceBuffer } from "@tessera/runtime";
import { idle, newTurns, type Turns, whenFree } from "@tessera/runtime/support";
import type { DeviceMemory } from "./ffi/memory.ts";
import type { OrtValue } from "./ffi/value.ts";

/** A buffer over an `OrtValue`, which a run may replace by another one of the same type. */
export class OnnxBuffer implements DeviceBuffer {
  /** The shape and element type. */
  readonly type: TensorType;
  /** The device that holds it. */
  readonly device: Device;
  /** Which runs use it now. */
  readonly turns: Turns = newTurns();
  #memory: DeviceMemory;
  #value: OrtValue;
  #disposed = false;

  /** Takes ownership of a value. */
  constructor(memory: DeviceMemory, device: Device, value: OrtValue) {
    this.type = value.type;
    this.device = device;
    this.#memory = memory;
    this.#value = value;
  }

  /** The value that holds the content now; only for the run whose turn it is. */
  get value(): OrtValue {
    return this.#value;
  }

  /** Tells whether the buffer was disposed. */
  get disposed(): boolean {
    return this.#disposed;
  }

  /** Replaces the value that holds the content with another, and frees the old one. */
  replace(value: OrtValue): void {
    this.#value.release();
    this.#value = value;
  }

  /** Copies the content to the host, after the runs that write it. */
  read(): Promise<HostTensor> {
    return this.#use("read", async () => ({ ...this.type, data: await this.#memory.read(this.#value) }));
  }

  /** Replaces the content, after the runs that use it. */
  async write(tensor: HostTensor): Promise<void> {
    if (!sameType(tensor, this.type)) {
      throw new TypeError(
        `Cannot write ${formatType(tensor)} to a buffer of ${formatType(this.type)}: types must match`,
      );
    }
    await this.#use("write", () => this.#memory.write(this.#value, tensor.data));
  }

  /** Frees the memory, after the runs that use it. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    const users = idle(this.turns);
    if (users === null) this.#value.release();
    else users.then(() => this.#value.release());
  }

  async #use<T>(use: "read" | "write", body: () => T | Promise<T>): Promise<T> {
    if (this.#disposed) throw new TypeError(`Cannot ${use} a ${formatType(this.type)} buffer that was disposed`);
    return await whenFree(this.turns, use, body);
  }
}
