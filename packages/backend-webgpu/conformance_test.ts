import { conformance } from "@tessera/runtime/testing";
import { tfjsCpuBackend, webgpuBackend } from "./backend.ts";
import { openDevice } from "./engine/device.ts";
import { withGpu } from "./testing.ts";

conformance("tfjs-cpu", () => tfjsCpuBackend(), {
  openDevices: (deviceCount) => tfjsCpuBackend({ deviceCount }),
  singleThreaded: true,
});
await withGpu(async () => {
  const { device } = await openDevice();
  conformance("webgpu", () => webgpuBackend({ device }), {
    openDevices: (deviceCount) => webgpuBackend({ device, deviceCount }),
  });
});
