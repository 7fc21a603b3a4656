/**
 * Runs graphs with tfjs.
 *
 * @module
 */
export { tfjsCpuBackend } from "./backend.ts";
export type { TfjsCpuOptions } from "./backend.ts";
