import { conformance } from "@tessera/runtime/testing";
import { tfjsCpuBackend, webgpuBackend } from "./backend.ts";
import { withGpu } from "./testing.ts";

conformance("tfjs-cpu", () => tfjsCpuBackend());
await withGpu(() => conformance("webgpu", () => webgpuBackend()));
