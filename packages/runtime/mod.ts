/**
 * The interface between programs and what runs them.
 *
 * @module
 */
export type { Backend, Buffer, CompileOptions, Device, Executable } from "./backend.ts";
