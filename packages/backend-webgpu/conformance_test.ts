import { conformance } from "@tessera/runtime/testing";
import { tfjsCpuBackend, webgpuBackend } from "./backend.ts";
import { openDevice } from "./device.ts";
import { withGpu } from "./testing.ts";

conformance("tfjs-cpu", () => tfjsCpuBackend(), { openDevices: (deviceCount) => tfjsCpuBackend({ deviceCount }) });
await withGpu(async () => {
  const { device } = await openDevice();
  // A software driver gets programs of its own, so those that a GPU gets are asked for besides.
  for (const [name, options] of [["webgpu", {}], ["webgpu by the programs for GPUs", { programs: "gpu" }]] as const) {
    conformance(name, () => webgpuBackend({ device, ...options }), {
      openDevices: (deviceCount) => webgpuBackend({ device, deviceCount, ...options }),
    });
  }
});
