import { conformance } from "@tessera/runtime/testing";
import { cudaBackend, findCuda } from "./cuda_backend.ts";
import { separateBackend } from "./testing/separate.ts";

conformance("what onnx-cuda compiles, with the processor as the GPU,", () => separateBackend(), {
  openDevices: separateBackend,
});

// Where there is a GPU, what is missing to use it is a test that is ignored, or fails when the GPU was asked for.
const { gpus, obstacle } = findCuda();
const isAskedFor = Deno.env.get("TESSERA_BACKEND") === "onnx-cuda";
if (obstacle === null) {
  conformance("onnx-cuda", () => cudaBackend({ threads: 2 }), {
    openDevices: (deviceCount) => cudaBackend({ threads: 2, deviceCount }),
  });
} else if (isAskedFor || gpus.length > 0) {
  Deno.test({
    name: "onnx-cuda passes the conformance suite",
    ignore: !isAskedFor,
    fn: () => {
      throw new Error(obstacle);
    },
  });
} else {
  console.warn(`\nNOT TESTED: onnx-cuda on a GPU. ${obstacle}\n`);
}
