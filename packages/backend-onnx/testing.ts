/** What tests of other packages need: the CUDA backend where it runs, and the processor in its place where it does not. */

export { separateBackend } from "./testing/separate.ts";
export { withCuda } from "./testing/with_cuda.ts";
