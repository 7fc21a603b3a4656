/** The backends: one engine each, seen as one or more devices. */

import { hostZeros } from "@tessera/core";
import type { Backend } from "@tessera/runtime";
import { checkDevice, virtualDevices } from "@tessera/runtime/support";
import { TfjsBuffer } from "./buffer.ts";
import { cpuEngine } from "./engine/cpu_engine.ts";
import { describeAdapter, isOnProcessor, openDevice } from "./engine/device.ts";
import { compileGraph, excessIn, type Target } from "./executable.ts";
import { excessOf } from "./lowering/fits.ts";
import { processorGroup, processorLowering } from "./lowering/processor.ts";
import { tfjsLowering } from "./lowering/table.ts";
import { webgpuLowering } from "./lowering/webgpu.ts";
import { webgpuSteps } from "./lowering/webgpu_steps.ts";
import { tfjsSupport } from "./support.ts";
import { groupProgram } from "./wgsl/elementwise.ts";
import { type GpuMemory, type WebgpuEngine, webgpuEngine } from "./engine/webgpu_engine.ts";

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
  return backendOver("tfjs-cpu", { engine: cpuEngine(), table: tfjsLowering }, deviceCount);
}

/** How the WebGPU backend is set up. */
export interface WebgpuOptions {
  /** A device of your own, which outlives the backend; by default one with all that the machine's adapter offers. */
  readonly device?: GPUDevice;
  /** How many logical devices share the GPU. 1 by default. */
  readonly deviceCount?: number;
  /** The most bytes of one tensor that a program reads or writes; larger weights are kept in slices. The device's limit by default. */
  readonly maxBindingBytes?: number;
  /** Which programs run: those for GPUs, or those for drivers that run them on the processor. By the adapter's kind by default. */
  readonly programs?: "gpu" | "processor";
}

/** A backend that reports how much of the GPU's memory it uses. */
export interface WebgpuBackend extends Backend {
  /** What is used now, and the peak since the last call of `resetPeak`. */
  memory(): GpuMemory;
  /** Makes the peak what is allocated now. */
  resetPeak(): void;
}

/**
 * Runs graphs on a GPU through WebGPU, in Deno and in browsers.
 *
 * @throws {Error} when WebGPU or an adapter is missing, with what brings it.
 * @throws {RangeError} when the number of devices is not a positive integer.
 */
export async function webgpuBackend(options: WebgpuOptions = {}): Promise<WebgpuBackend> {
  const { device, deviceCount = 1, maxBindingBytes } = options;
  const opened = device === undefined ? await openDevice() : { device, info: device.adapterInfo, owned: false };
  const engine = webgpuEngine(opened, maxBindingBytes);
  const programs = options.programs ?? (isOnProcessor(opened.info) ? "processor" : "gpu");
  const backend = backendOver("webgpu", webgpuTarget(engine, programs), deviceCount);
  const about = describeAdapter(opened.info);
  return { ...backend, about, memory: () => engine.memory(), resetPeak: () => engine.resetPeak() };
}

/** How an engine that runs programs in WGSL computes graphs, by those for GPUs or for drivers on the processor. */
export function webgpuTarget(engine: WebgpuEngine, programs: "gpu" | "processor"): Target {
  const [table, group] = programs === "gpu" ? [webgpuLowering, groupProgram] : [processorLowering, processorGroup];
  return {
    engine,
    table,
    steps: (graph) => webgpuSteps(graph, table, group),
    excess: (graph, steps) => excessOf(graph, steps, engine.bindingBytes),
  };
}

/** A backend that runs graphs on an engine by a lowering table. */
export function backendOver(
  name: string,
  target: Target,
  deviceCount: number,
): Backend {
  const { engine } = target;
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
    ...(target.excess === undefined ? {} : { excess: (graph) => excessIn(target, graph) }),
    compile: async (graph, options) => {
      checkDevice(name, devices, options.device);
      return await compileGraph(target, graph, options);
    },
    dispose: () => {
      if (disposed) return;
      disposed = true;
      engine.dispose();
    },
  };
}
