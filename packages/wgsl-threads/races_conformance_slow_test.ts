/** The conformance suite thread by thread, as in `races_slow_test.ts`. */
import { conformance } from "@tessera/runtime/testing";
import { slowBackend } from "./slow_backend.ts";

conformance("thread by thread, a GPU's program", () => slowBackend({ programs: "gpu" }), {
  openDevices: (deviceCount) => slowBackend({ programs: "gpu", deviceCount }),
});
