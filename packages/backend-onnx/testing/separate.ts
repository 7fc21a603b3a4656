/** A device whose memory the backend cannot access, simulated on the processor: what runs on GPUs, without the GPU. */

import type { Backend } from "@tessera/runtime";
import { pause, virtualDevices } from "@tessera/runtime/support";
import { backendOver } from "../backend.ts";
import { acquireEnvironment, type Environment } from "../ffi/environment.ts";
import { type Copying, separateMemory } from "../ffi/memory.ts";
import { bytesOfValue, type OrtValue } from "../ffi/value.ts";
import { cudaTarget } from "../lowering/cuda.ts";

/** Copies between tensors that are all in the processor's memory. */
function copyingByHost(environment: Environment): Copying {
  const now = (from: OrtValue, to: OrtValue) => bytesOfValue(environment, to).set(bytesOfValue(environment, from));
  return {
    now,
    async later(from, to) {
      await pause();
      now(from, to);
    },
  };
}

/**
 * A backend with the programs of the CUDA backend, whose buffers are copied in and out and whose outputs are placed before each
 * run. Every second device is a place of its own, as every GPU is.
 */
export function separateBackend(deviceCount = 1): Backend {
  const environment = acquireEnvironment({ threads: 2 });
  const devices = virtualDevices("separate", deviceCount);
  const places = [0, 1].map((index) => ({
    memory: separateMemory(environment, {
      name: `separate:${index} (the processor)`,
      allocator: environment.allocator,
      copying: copyingByHost(environment),
    }),
    provider: null,
  }));
  return backendOver("separate", devices, {
    environment,
    target: cudaTarget,
    options: {},
    placeOf: (device) => places[devices.indexOf(device) % places.length]!,
  });
}
