import { conformance } from "@tessera/runtime/testing";
import { separateBackend } from "./testing/separate.ts";
import { withCuda } from "./testing/with_cuda.ts";

conformance("what onnx-cuda compiles, with the processor as the GPU,", () => separateBackend(), {
  openDevices: separateBackend,
});
withCuda("the conformance suite", (open) => conformance("onnx-cuda", () => open(), { openDevices: open }));
