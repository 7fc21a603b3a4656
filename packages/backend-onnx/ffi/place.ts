/** Where devices compute. */

import type { DeviceMemory } from "./memory.ts";

/** An engine of ONNX Runtime ("execution provider") other than the processor's. */
export interface Provider {
  /** Its name in ONNX Runtime, such as `CUDAExecutionProvider`. */
  readonly name: string;
  /** Adds it to session options. */
  appendTo(sessionOptions: bigint): void;
}

/** Where a device computes. Devices of one place share its memory and the programs that are compiled for it. */
export interface Place {
  /** Where tensors are. */
  readonly memory: DeviceMemory;
  /** What runs programs; `null` for the processor. */
  readonly provider: Provider | null;
}
