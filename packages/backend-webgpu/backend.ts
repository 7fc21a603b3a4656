/** The backends: one engine each, seen as one or more devices. */

import { hostZeros, type Lowering } from "@tessera/core";
import type { Backend } from "@tessera/runtime";
import { checkDevice, virtualDevices } from "@tessera/runtime/support";
import { TfjsBuffer } from "./buffer.ts";
import { cpuEngine } from "./cpu_engine.ts";
import type { Engine, Value } from "./engine.ts";
import { compileGraph } from "./executable.ts";
import { tfjsLowering } from "./lowering/table.ts";
import type { Workspace } from "./lowering/workspace.ts";
import { tfjsSupport } from "./support.ts";

/** How the plain JavaScript backend is set up. */
export interface TfjsCpuOptions {
  /** How many virtual devices it has. 1 by default. */
  readonly deviceCount?: number;
}

/**
 * Runs graphs on tfjs's plain JavaScript kernels: slow, and there wherever JavaScript is.
 *
 * @throws {RangeError} when the number of devices is not a positive integer.
 */
export function tfjsCpuBackend({ deviceCount = 1 }: TfjsCpuOptions = {}): Backend {
  return backendOver("tfjs-cpu", cpuEngine(), tfjsLowering, deviceCount);
}

/** A backend that runs graphs on an engine by a lowering table. */
export function backendOver(
  name: string,
  engine: Engine,
  table: Lowering<Workspace, Value>,
  deviceCount: number,
): Backend {
  const devices = virtualDevices(name, deviceCount);
  let disposed = false;
  return {
    name,
    devices,
    computes: tfjsSupport.computes,
    moves: tfjsSupport.moves,
    upload: (tensor, device = devices[0]!) =>
      new TfjsBuffer(engine, checkDevice(name, devices, device), engine.upload(tensor)),
    zeros: ({ dtype, shape }, device = devices[0]!) =>
      new TfjsBuffer(engine, checkDevice(name, devices, device), engine.upload(hostZeros(dtype, shape))),
    compile: async (graph, options) => {
      checkDevice(name, devices, options.device);
      return await compileGraph(engine, table, graph, options);
    },
    dispose: () => {
      if (disposed) return;
      disposed = true;
      engine.dispose();
    },
  };
}
