/** The backend over the engine that runs programs thread by thread. */

import type { Graph } from "@tessera/core";
import type { Backend, CompileOptions, Device } from "@tessera/runtime";
import { virtualDevices } from "@tessera/runtime/support";
import { backendOver, compileGraph, TfjsBuffer, webgpuTarget } from "@tessera/backend-webgpu/programs";
import { slowEngine } from "./slow_engine.ts";

/** How it is set up, as `webgpuBackend`. */
export interface SlowOptions {
  /** How many logical devices it has. 1 by default. */
  readonly deviceCount?: number;
  /** Which programs run. */
  readonly programs: "gpu" | "processor";
  /** The most bytes of one tensor that a program reads or writes. */
  readonly maxBindingBytes?: number;
}

/** Starts it. */
export function slowBackend({ deviceCount = 1, programs, maxBindingBytes }: SlowOptions): Backend {
  return backendOver("slow", webgpuTarget(slowEngine({ bindingBytes: maxBindingBytes }), programs), deviceCount);
}

/**
 * Goes through the programs of a graph without any data: none may have too many groups, threads, buffers or too much shared memory for
 * any GPU, nor a place outside of its tensors or beyond an i32.
 */
export async function checkPrograms(
  graph: Graph,
  options: SlowOptions & Pick<CompileOptions, "donate">,
): Promise<void> {
  const { programs, maxBindingBytes, donate } = options;
  const engine = slowEngine({ bindingBytes: maxBindingBytes, outline: true });
  const [device] = virtualDevices("outline", 1) as [Device];
  const program = await compileGraph(webgpuTarget(engine, programs), graph, { device, ...(donate && { donate }) });
  await program.run(graph.inputs.map(({ type }) => new TfjsBuffer(engine, device, engine.empty(type))));
  engine.dispose();
}
