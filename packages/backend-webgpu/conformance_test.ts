import { conformance } from "@tessera/runtime/testing";
import { tfjsCpuBackend } from "./backend.ts";

conformance("tfjs-cpu", () => tfjsCpuBackend());
