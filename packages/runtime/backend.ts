/**
 * What a backend must offer: devices, buffers on them, and programs compiled from graphs.
 *
 * A program's inputs come in three kinds. *Residents* (frozen weights) are buffers that many programs share and that no
 * run copies. *State* (trainable weights, optimizer slots, caches) is donated: its new value takes the place of the old.
 * Everything else is the batch.
 */
import type { DType, Graph, HostArray, HostTensor, OpName, TensorType } from "@tessera/core";

/** Something that holds buffers and runs programs. */
export interface Device {
  /** The kind and a number, such as `cpu:0`. */
  readonly id: string;
  /** The kind, such as `cpu`. */
  readonly kind: string;
}

/** A tensor on a device. Its identity lasts; a donated buffer's content changes with every run. */
export interface DeviceBuffer {
  /** The shape and element type. */
  readonly type: TensorType;
  /** The device that holds it. */
  readonly device: Device;
  /** Copies the content to the host. Throws when the buffer was disposed. */
  read(): Promise<HostTensor>;
  /** Replaces the whole content. Throws when the type differs or the buffer was disposed. */
  write(tensor: HostTensor): Promise<void>;
  /** Frees the memory; calling it again does nothing. */
  dispose(): void;
}

/** How a graph is to be compiled. */
export interface CompileOptions {
  /** The device that will run the program. */
  readonly device: Device;
  /** Other devices that may run it too: what is compiled once serves all, and each run is on the device of its inputs. */
  readonly alsoOn?: readonly Device[];
  /** Input index → output index: that input's buffer receives that output, in place where the backend can. */
  readonly donate?: ReadonlyMap<number, number>;
  /**
   * Input index → the buffer that every run will give for it and that nothing changes, so that a backend may lay its content out
   * anew for its kernels. Each run still lists the buffer.
   */
  readonly residents?: ReadonlyMap<number, DeviceBuffer>;
}

/** A tensor of a program that is larger than a device can take. */
export interface Excess {
  /** What it is, such as `input "token_embedding/embeddings"`. */
  readonly what: string;
  /** Its type. */
  readonly type: TensorType;
  /** What it takes, in bytes. */
  readonly bytes: number;
  /** The most that one tensor may take, in bytes. */
  readonly limitBytes: number;
}

/** A compiled program. */
export interface Executable {
  /** The graph that it computes, as it was given. */
  readonly graph: Graph;
  /**
   * Runs the program without blocking the event loop. Gives one buffer per output: a fresh one, which the caller
   * disposes, or, for a donated output, the very buffer that was donated. Throws when a buffer's type or device does not
   * fit its input, naming the input.
   */
  run(inputs: readonly DeviceBuffer[]): Promise<DeviceBuffer[]>;
  /** Frees the program; its inputs and outputs live on. */
  dispose(): void;
}

/** An engine that runs graphs. */
export interface Backend {
  /** The name by which configuration selects it, such as `cpu`. */
  readonly name: string;
  /** What it runs on, for people, where there is more to say than its name. */
  readonly about?: string;
  /** The devices it can use. */
  readonly devices: readonly Device[];
  /** The dtypes that it computes in; the others are storage, which `legalize` casts. */
  readonly computes: ReadonlySet<DType>;
  /** The ops that it can run on storage dtypes too, because they only move elements. */
  readonly moves: ReadonlySet<OpName>;
  /**
   * Puts a host tensor on a device. The buffer may be the host memory itself, without a copy, so the caller must not
   * change it afterwards; state that is later donated is then updated in that memory.
   */
  upload(tensor: HostTensor, device?: Device): DeviceBuffer;
  /**
   * Zeros in host memory, for a tensor that is going to be uploaded: where the backend has a better place for large ones than the
   * language.
   */
  readonly hostArray?: <D extends DType>(dtype: D, size: number) => HostArray<D>;
  /** A zero-filled buffer. */
  zeros(type: TensorType, device?: Device): DeviceBuffer;
  /**
   * What of a graph is larger than the devices can take, before anything is put on them; `null` when all fits. Absent where a
   * tensor may be as large as memory is.
   */
  readonly excess?: (graph: Graph) => Promise<Excess | null>;
  /** Compiles a graph; programs may be compiled concurrently. */
  compile(graph: Graph, options: CompileOptions): Promise<Executable>;
  /** Frees the backend; its programs and buffers must not be used afterwards. */
  dispose(): void;
}
