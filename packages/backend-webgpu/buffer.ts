/** Tensors on a device of tfjs. */

import { formatType, type HostTensor, sameType, type TensorType } from "@tessera/core";
import type { Device, DeviceBuffer } from "@tessera/runtime";
import { idle, newTurns, type Turns, whenFree } from "@tessera/runtime/support";
import { type Engine, release, retain, type Value } from "./engine/engine.ts";

/** A buffer over a value, which a run may replace by another one of the same type. */
export class TfjsBuffer implements DeviceBuffer {
  /** The shape and element type. */
  readonly type: TensorType;
  /** The device that holds it. */
  readonly device: Device;
  /** Which runs use it now. */
  readonly turns: Turns = newTurns();
  #engine: Engine;
  #value: Value;
  #disposed = false;

  /** Takes ownership of a value. */
  constructor(engine: Engine, device: Device, value: Value) {
    this.type = { dtype: value.dtype, shape: value.shape };
    this.device = device;
    this.#engine = engine;
    this.#value = value;
  }

  /** The value that holds the content now; only for the run whose turn it is. */
  get value(): Value {
    return this.#value;
  }

  /** Tells whether the buffer was disposed. */
  get disposed(): boolean {
    return this.#disposed;
  }

  /** Replaces the value that holds the content with another, and frees the old one. */
  replace(value: Value): void {
    release(this.#engine, this.#value);
    this.#value = value;
  }

  /** Copies the content to the host, after the runs that write it. */
  async read(): Promise<HostTensor> {
    this.#require("read");
    // A value never changes once it is there, so others may continue while it is copied.
    const value = await whenFree(this.turns, "read", () => retain(this.#engine, this.#value));
    try {
      return { ...await this.#engine.read(value), ...this.type };
    } finally {
      release(this.#engine, value);
    }
  }

  /** Replaces the content, after the runs that use it. */
  async write(tensor: HostTensor): Promise<void> {
    if (!sameType(tensor, this.type)) {
      throw new TypeError(
        `Cannot write ${formatType(tensor)} to a buffer of ${formatType(this.type)}: types must match`,
      );
    }
    this.#require("write");
    await whenFree(this.turns, "write", () => this.replace(this.#engine.upload(tensor)));
  }

  /** Frees the memory, after the runs that use it. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    const users = idle(this.turns);
    if (users === null) release(this.#engine, this.#value);
    else users.then(() => release(this.#engine, this.#value));
  }

  #require(use: string): void {
    if (this.#disposed) throw new TypeError(`Cannot ${use} a ${formatType(this.type)} buffer that was disposed`);
  }
}
