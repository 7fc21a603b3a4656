import { conformance } from "@tessera/runtime/testing";
import { tfjsCpuBackend, webgpuBackend } from "./backend.ts";
import { withGpu } from "./testing/gpu.ts";

conformance("tfjs-cpu", () => tfjsCpuBackend());
withGpu(() => conformance("webgpu", () => webgpuBackend()));
