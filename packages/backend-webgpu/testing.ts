/**
 * Tests that need a GPU, or a software driver in its place, and tests of programs that need neither.
 *
 * @module
 */

export { checkPrograms } from "./testing/slow_backend.ts";
export type { SlowOptions } from "./testing/slow_backend.ts";

const adapter = await globalThis.navigator?.gpu?.requestAdapter() ?? null;

/**
 * Registers tests where there is a GPU adapter. Where there is none, one ignored test says how to get one; continuous
 * integration lets no ignored test pass.
 */
export async function withGpu(register: () => void | Promise<void>): Promise<void> {
  if (adapter !== null) return await register();
  const advice = "install the driver of your GPU, or a software one: apt-get install mesa-vulkan-drivers";
  console.warn(`No GPU adapter was found, so tests of WebGPU do not run; ${advice}`);
  Deno.test({ name: `WebGPU has no adapter here: ${advice}`, ignore: true, fn: () => {} });
}
