/**
 * The programs of the backend `webgpu`, thread by thread and without a GPU: what would go wrong on some GPU is an error.
 *
 * @module
 */
export { checkPrograms, slowBackend } from "./slow_backend.ts";
export type { SlowOptions } from "./slow_backend.ts";
