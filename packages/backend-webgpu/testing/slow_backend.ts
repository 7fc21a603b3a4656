/** The backend over the engine that runs programs thread by thread. */

import type { Backend } from "@tessera/runtime";
import { backendOver, webgpuTarget } from "../backend.ts";
import { slowEngine } from "./slow_engine.ts";

/** How it is set up, as `webgpuBackend`. */
export interface SlowOptions {
  /** How many logical devices it has. 1 by default. */
  readonly deviceCount?: number;
  /** Which programs run. */
  readonly programs: "gpu" | "processor";
  /** The most bytes of one tensor that a program reads or writes. */
  readonly maxBindingBytes?: number;
}

/** Starts it. */
export function slowBackend({ deviceCount = 1, programs, maxBindingBytes }: SlowOptions): Backend {
  return backendOver("slow", webgpuTarget(slowEngine(maxBindingBytes), programs), deviceCount);
}
