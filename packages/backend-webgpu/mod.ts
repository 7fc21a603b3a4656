/**
 * Runs graphs with tfjs.
 *
 * @module
 */
export { tfjsCpuBackend, webgpuBackend } from "./backend.ts";
export type { TfjsCpuOptions, WebgpuBackend, WebgpuOptions } from "./backend.ts";
export type { GpuMemory } from "./engine/webgpu_engine.ts";
