/** Backends by name: what configuration switches between. */
import type { Backend } from "@tessera/runtime";
import { nearestName } from "@tessera/core";
import { openOnnx } from "./native.ts";

/** How a backend is opened. */
export interface BackendOptions {
  /** The number of threads that one run may use, where the backend runs on the processor; all cores unless given. */
  readonly threads?: number;
  /** The number of virtual devices, which share the threads, for meshes on one computer; 1 unless given. */
  readonly deviceCount?: number;
}

/** The options of backends that have no threads of their own to set. */
function devicesOf({ deviceCount = 1 }: BackendOptions): { readonly deviceCount: number } {
  return { deviceCount };
}

/** One row per backend. A backend's code is loaded when it is first asked for. */
const backends = {
  cpu: openOnnx,
  webgpu: async (options) => await (await import("@tessera/backend-webgpu")).webgpuBackend(devicesOf(options)),
  "tfjs-cpu": async (options) => (await import("@tessera/backend-webgpu")).tfjsCpuBackend(devicesOf(options)),
} as const satisfies Readonly<Record<string, (options: BackendOptions) => Promise<Backend>>>;

/** The name of a backend. */
export type BackendName = keyof typeof backends;

/** The names of the backends. */
export const backendNames: readonly BackendName[] = Object.keys(backends) as BackendName[];

/**
 * Opens a backend by its name.
 *
 * @throws {RangeError} when there is no backend of that name.
 * @throws {Error} when it cannot run here, with what to do about it.
 */
export async function openBackend(name: BackendName, options: BackendOptions = {}): Promise<Backend> {
  const open = Object.hasOwn(backends, name) ? backends[name] : undefined;
  if (open === undefined) {
    const near = nearestName(name, backendNames);
    throw new RangeError(
      `Cannot open backend "${name}": there is none of that name` + (near === null ? "" : `; did you mean "${near}"?`) +
        ` The backends are ${backendNames.join(", ")}`,
    );
  }
  return await open(options);
}
