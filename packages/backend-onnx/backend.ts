/** The backend that runs graphs on the processor with ONNX Runtime, and what it shares with those on other devices. */

import type { Backend, Device } from "@tessera/runtime";
import { checkDevice, virtualDevices } from "@tessera/runtime/support";
import { OnnxBuffer } from "./buffer.ts";
import { compileGraph, type Engine } from "./executable.ts";
import type { ArenaUse } from "./ffi/arena.ts";
import { acquireEnvironment, type Environment, type EnvironmentOptions } from "./ffi/environment.ts";
import { hugeArray } from "./ffi/huge_pages.ts";
import { hostMemory } from "./ffi/memory.ts";
import { newSession, type SessionOptions } from "./ffi/session.ts";
import { cpuTarget } from "./lowering/lower.ts";
import { nothing } from "./nothing.ts";

/** How the backend is set up. */
export interface OnnxBackendOptions extends EnvironmentOptions {
  /** How many virtual devices it has; they share the threads. 1 by default. */
  readonly deviceCount?: number;
  /** How models are compiled. */
  readonly session?: SessionOptions;
}

/** ONNX Runtime on the processor. */
export interface OnnxBackend extends Backend {
  /** What the memory that programs allocate from holds, on all devices of the process together, without uploaded buffers. */
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
  const place = { memory: hostMemory(environment), provider: null };
  const engine = { environment, target: cpuTarget, options: session, placeOf: () => place };
  return {
    ...backendOver("cpu", devices, engine),
    hostArray: hugeArray,
    arenaUse: () => readArena(environment),
  };
}

/** A backend on some devices, which releases its engine's environment when it is disposed. */
export function backendOver(name: string, devices: readonly Device[], engine: Engine): Backend {
  const { environment, target: { support }, placeOf } = engine;
  const own = (device: Device) => checkDevice(name, devices, device);
  let disposed = false;
  return {
    name,
    devices,
    computes: support.computes,
    moves: support.moves,
    upload(tensor, device = devices[0]!) {
      const { memory } = placeOf(own(device));
      return new OnnxBuffer(memory, device, memory.upload(tensor));
    },
    zeros(type, device = devices[0]!) {
      const { memory } = placeOf(own(device));
      return new OnnxBuffer(memory, device, memory.zeros(type));
    },
    compile: (graph, compileOptions) => {
      [compileOptions.device, ...compileOptions.alsoOn ?? []].forEach(own);
      return compileGraph(engine, graph, compileOptions);
    },
    dispose() {
      if (disposed) return;
      disposed = true;
      environment.release();
    },
  };
}

/** The statistics of the arena, which ONNX Runtime gives only through a session. */
async function readArena(environment: Environment): Promise<ArenaUse> {
  const { model, signature } = nothing();
  const session = await newSession(environment, model, signature);
  try {
    return session.arenaUse();
  } finally {
    await session.release();
  }
}
