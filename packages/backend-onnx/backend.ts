/** The backend that runs graphs on the processor with ONNX Runtime. */

import { type HostTensor, type TensorType } from "@tessera/core";
import type { Backend, Device } from "@tessera/runtime";
import { OnnxBuffer } from "./buffer.ts";
import { compileGraph } from "./executable.ts";
import { acquireEnvironment, type EnvironmentOptions } from "./ffi/environment.ts";
import type { SessionOptions } from "./ffi/session.ts";
import { allocateValue, bytesOfValue, valueOver } from "./ffi/value.ts";
import { cpuSupport } from "./lowering/lower.ts";

/** How the backend is set up. */
export interface OnnxBackendOptions extends EnvironmentOptions {
  /** How many virtual devices it has; they share the threads. 1 by default. */
  readonly deviceCount?: number;
  /** How models are compiled. */
  readonly session?: SessionOptions;
}

/**
 * Starts ONNX Runtime on the processor.
 *
 * @throws {Error} when its library is missing, may not be called, or does not support the platform.
 */
export function onnxBackend(options: OnnxBackendOptions = {}): Backend {
  const { deviceCount = 1, session = {}, ...environmentOptions } = options;
  if (!Number.isInteger(deviceCount) || deviceCount < 1) {
    throw new RangeError(`Cannot start the backend "cpu" with ${deviceCount} devices: a positive integer is needed`);
  }
  const environment = acquireEnvironment(environmentOptions);
  const devices: readonly Device[] = Array.from({ length: deviceCount }, (_, i) => ({ id: `cpu:${i}`, kind: "cpu" }));

  function own(device: Device): Device {
    if (devices.includes(device)) return device;
    throw new TypeError(
      `Cannot use device "${device.id}" with the backend "cpu": its devices are ${
        devices.map(({ id }) => id).join(", ")
      }`,
    );
  }

  let disposed = false;
  return {
    name: "cpu",
    devices,
    computes: cpuSupport.computes,
    moves: cpuSupport.moves,
    upload(tensor: HostTensor, device = devices[0]!) {
      const { dtype, shape, data } = tensor;
      return new OnnxBuffer(environment, own(device), valueOver(environment, { dtype, shape }, data));
    },
    zeros(type: TensorType, device = devices[0]!) {
      const value = allocateValue(environment, type);
      bytesOfValue(environment, value).fill(0);
      return new OnnxBuffer(environment, own(device), value);
    },
    compile: (graph, compileOptions) => {
      own(compileOptions.device);
      return compileGraph(environment, graph, compileOptions, session);
    },
    dispose() {
      if (disposed) return;
      disposed = true;
      environment.release();
    },
  };
}
