/**
 * Backends by name, which is what configuration switches between, and the one that is used where none is named.
 *
 * @module
 */
export { backendNames, chooseBackend, defaultBackend, openBackend } from "./backends.ts";
export type { BackendChoice, BackendName, BackendOptions } from "./backends.ts";
export { memoryOn } from "./native.ts";
