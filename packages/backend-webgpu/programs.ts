/**
 * What an engine needs to run this backend's programs in another way than on a GPU, as `@tessera/wgsl-threads` does.
 *
 * @module
 */
export { backendOver, webgpuTarget } from "./backend.ts";
export { TfjsBuffer } from "./buffer.ts";
export {
  fitsBinding,
  isPacked,
  packWords,
  retain,
  rowsPerPart,
  storageOf,
  storedShape,
  unpackWords,
  type Value,
  wordsOf,
} from "./engine/engine.ts";
export { compileGraph } from "./executable.ts";
export type { WebgpuEngine } from "./engine/webgpu_engine.ts";
export { castProgram } from "./wgsl/element.ts";
export { piecesOf, type Program, type ProgramInput, type UpdateProgram } from "./wgsl/program.ts";
