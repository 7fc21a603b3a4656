/**
 * Runs graphs with tfjs.
 *
 * @module
 */
export { tfjsCpuBackend, webgpuBackend } from "./backend.ts";
export type { TfjsCpuOptions, WebgpuOptions } from "./backend.ts";
