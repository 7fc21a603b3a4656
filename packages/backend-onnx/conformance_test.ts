import { conformance } from "@tessera/runtime/testing";
import { onnxBackend } from "./backend.ts";

conformance("cpu", () => onnxBackend({ threads: 2 }), {
  openDevices: (deviceCount) => onnxBackend({ threads: 2, deviceCount }),
});
