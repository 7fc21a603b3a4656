/** The backend that runs graphs on the processor with ONNX Runtime. */

import { type HostTensor, type TensorType } from "@tessera/core";
import type { Backend, Device } from "@tessera/runtime";
import { checkDevice, virtualDevices } from "@tessera/runtime/support";
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
  const devices = virtualDevices("cpu", deviceCount);
  const environment = acquireEnvironment(environmentOptions);
  const own = (device: Device) => checkDevice("cpu", devices, device);
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
