/**
 * Tests that need a GPU, or a software driver in its place, and the graphs that programs are tested on, with a GPU and without.
 *
 * @module
 */

import { describeAdapter, isOnProcessor } from "./engine/device.ts";

export { assertAgrees, programCases } from "./testing/program_cases.ts";
export type { ProgramCase, Programs } from "./testing/program_cases.ts";

/** Whether tests on a GPU are what was asked for. */
const isAskedFor = Deno.env.get("TESSERA_BACKEND") === "webgpu";

const adapter = await globalThis.navigator?.gpu?.requestAdapter() ?? null;

/**
 * Registers tests where there is a GPU adapter. Where there is none, one ignored test says how to get one; continuous
 * integration lets no ignored test pass. When `TESSERA_BACKEND` asks for WebGPU, one more test fails unless the adapter is a GPU.
 */
export async function withGpu(register: () => void | Promise<void>): Promise<void> {
  if (isAskedFor) {
    const found = adapter === null ? "no adapter" : describeAdapter(adapter.info);
    Deno.test(`WebGPU runs on a GPU: ${found}`, () => {
      if (adapter !== null && !isOnProcessor(adapter.info)) return;
      throw new Error(`Cannot check WebGPU on a GPU: found ${found}`);
    });
  }
  if (adapter !== null) return await register();
  const advice = "install the driver of your GPU, or a software one: apt-get install mesa-vulkan-drivers";
  console.warn(`No GPU adapter was found, so tests of WebGPU do not run; ${advice}`);
  Deno.test({ name: `WebGPU has no adapter here: ${advice}`, ignore: true, fn: () => {} });
}
