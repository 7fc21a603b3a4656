/** The backend that runs graphs on the processor with ONNX Runtime. */

import { type HostTensor, type TensorType, trace } from "@tessera/core";
import type { Backend, Device } from "@tessera/runtime";
import { checkDevice, virtualDevices } from "@tessera/runtime/support";
import { OnnxBuffer } from "./buffer.ts";
import { compileGraph } from "./executable.ts";
import type { ArenaUse } from "./ffi/arena.ts";
import { acquireEnvironment, type Environment, type EnvironmentOptions } from "./ffi/environment.ts";
import { hugeArray } from "./ffi/huge_pages.ts";
import { newSession, type SessionOptions } from "./ffi/session.ts";
import { allocateValue, bytesOfValue, valueOver } from "./ffi/value.ts";
import { cpuSupport, lower } from "./lowering/lower.ts";
import { encodeModel } from "./model/encode.ts";

/** How the backend is set up. */
export interface OnnxBackendOptions extends EnvironmentOptions {
  /** How many virtual devices it has; they share the threads. 1 by default. */
  readonly deviceCount?: number;
  /** How models are compiled. */
  readonly session?: SessionOptions;
}

/** ONNX Runtime on the processor. */
export interface OnnxBackend extends Backend {
  /** What the memory holds that programs allocate from, on all devices of the process together; buffers that were uploaded are elsewhere. */
  arenaUse(): Promise<ArenaUse>;
}

/**
 * Starts ONNX Runtime on the processor.
 *
 * @throws {Error} when its library is missing, may not be called, or does not support the platform.
 */
export function onnxBackend(options: OnnxBackendOptions = {}): OnnxBackend {
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
    hostArray: hugeArray,
    zeros(type: TensorType, device = devices[0]!) {
      const value = allocateValue(environment, type);
      bytesOfValue(environment, value).fill(0);
      return new OnnxBuffer(environment, own(device), value);
    },
    compile: (graph, compileOptions) => {
      [compileOptions.device, ...compileOptions.alsoOn ?? []].forEach(own);
      return compileGraph(environment, graph, compileOptions, session);
    },
    arenaUse: () => readArena(environment),
    dispose() {
      if (disposed) return;
      disposed = true;
      environment.release();
    },
  };
}

/** The statistics of the arena, which ONNX Runtime gives only through a session. */
async function readArena(environment: Environment): Promise<ArenaUse> {
  const type: TensorType = { shape: [], dtype: "float32" };
  const { model, inputNames, outputNames } = lower(trace("nothing", { x: type }, ({ x }) => ({ y: x })));
  const session = await newSession(environment, encodeModel(model), { inputNames, outputNames, outputTypes: [type] });
  try {
    return session.arenaUse();
  } finally {
    await session.release();
  }
}
