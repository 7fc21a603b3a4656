/** The conformance suite by the programs for GPUs: a software driver gets programs of its own, so these are asked for. */
import { conformance } from "@tessera/runtime/testing";
import { webgpuBackend } from "./backend.ts";
import { openDevice } from "./engine/device.ts";
import { withGpu } from "./testing.ts";

await withGpu(async () => {
  const { device } = await openDevice();
  conformance("webgpu by the programs for GPUs", () => webgpuBackend({ device, programs: "gpu" }), {
    openDevices: (deviceCount) => webgpuBackend({ device, deviceCount, programs: "gpu" }),
  });
});
