/** Backends by name: what configuration switches between. */
import type { Backend } from "@tessera/runtime";
import type { CudaPresence } from "@tessera/backend-onnx";
import { environmentVariable } from "@tessera/files";
import { checkOptions, nearestName, type OptionNames } from "@tessera/text";
import { findCuda, openCuda, openOnnx, processorBackend } from "./native.ts";

/** How a backend is opened. */
export interface BackendOptions {
  /** The number of threads that one run may use, where the backend runs on the processor; all cores unless given. */
  readonly threads?: number;
  /**
   * The number of devices, for meshes on one computer: with CUDA the GPUs, all of them unless given; elsewhere virtual ones, which
   * share the hardware, 1 unless given.
   */
  readonly deviceCount?: number;
}

const optionNames: OptionNames<BackendOptions> = { threads: true, deviceCount: true };

/** The options of backends without threads of their own. */
function devicesOf({ deviceCount = 1 }: BackendOptions): { readonly deviceCount: number } {
  return { deviceCount };
}

/** One row per backend. A backend's code is loaded when it is first asked for. */
const backends = {
  cpu: openOnnx,
  "onnx-cuda": openCuda,
  webgpu: async (options) => await (await import("@tessera/backend-webgpu")).webgpuBackend(devicesOf(options)),
  "tfjs-cpu": async (options) => (await import("@tessera/backend-webgpu")).tfjsCpuBackend(devicesOf(options)),
} as const satisfies Readonly<Record<string, (options: BackendOptions) => Promise<Backend>>>;

/** The name of a backend. */
export type BackendName = keyof typeof backends;

/** The names of the backends. */
export const backendNames: readonly BackendName[] = Object.keys(backends) as BackendName[];

/** Which backend is used where none was named, and why, as the end of a sentence. */
export interface BackendChoice {
  /** The backend. */
  readonly name: BackendName;
  /** Why it was chosen, such as `no GPU was found`. */
  readonly reason: string;
}

/**
 * The fastest backend that is present: NVIDIA's GPUs where CUDA can be used, else a GPU that is not emulated by the processor, else
 * the processor. In a browser an emulated GPU still runs compiled code, and so comes before plain JavaScript.
 */
export async function chooseBackend(): Promise<BackendChoice> {
  return await chooseAmong(await findCuda());
}

/** What `chooseBackend` says when CUDA was found or not. */
export async function chooseAmong({ gpus: [gpu, ...others], obstacle }: CudaPresence): Promise<BackendChoice> {
  if (gpu !== undefined && obstacle === null) {
    const more = others.length === 0 ? "" : ` and ${others.length} more`;
    return { name: "onnx-cuda", reason: `found ${gpu.name}${more}, and CUDA` };
  }
  const { name, reason } = await chooseWithoutCuda();
  return { name, reason: gpu === undefined ? reason : `${reason}; CUDA is left out for ${gpu.name}: ${obstacle}` };
}

async function chooseWithoutCuda(): Promise<BackendChoice> {
  const adapter = await globalThis.navigator?.gpu?.requestAdapter({ powerPreference: "high-performance" }) ?? null;
  const processor: BackendName = processorBackend;
  if (adapter === null) return { name: processor, reason: "no GPU was found, neither by CUDA nor by WebGPU" };
  const { description, vendor, isFallbackAdapter } = adapter.info;
  const found = description || vendor || "a GPU that does not give its name";
  if (!isFallbackAdapter) return { name: "webgpu", reason: `found ${found}` };
  const name = processor === "cpu" ? processor : "webgpu";
  return { name, reason: `the only GPU is ${found}, which the processor emulates` };
}

/** The environment variable that names the backend where a program names none. */
const variable = "TESSERA_BACKEND";

/** What the environment names; `cpu`, or in a browser `auto`, where it names nothing. */
function nameInEnvironment(): BackendName | "auto" {
  const named = environmentVariable(variable);
  if (named === undefined || named === "") return processorBackend === "cpu" ? "cpu" : "auto";
  return knownName(named, `Cannot use ${variable}=${named}`);
}

function knownName(name: string, task: string): BackendName | "auto" {
  if (name === "auto" || Object.hasOwn(backends, name)) return name as BackendName | "auto";
  const near = nearestName(name, backendNames);
  throw new RangeError(
    `${task}: there is none of that name` + (near === null ? "" : `; did you mean "${near}"?`) +
      ` The backends are ${backendNames.join(", ")}, and auto, which takes the fastest that is present`,
  );
}

/**
 * Opens a backend by its name; `"auto"` is what `chooseBackend` says. Without a name it is the one that the environment variable
 * `TESSERA_BACKEND` names, else `cpu`.
 *
 * @throws {RangeError} when there is no backend of that name.
 * @throws {TypeError} when an option has an unknown name.
 * @throws {Error} when it cannot run here, with what to do about it.
 */
export async function openBackend(asked?: BackendName | "auto", options: BackendOptions = {}): Promise<Backend> {
  const known = asked === undefined ? nameInEnvironment() : knownName(asked, `Cannot open backend "${asked}"`);
  checkOptions(`open backend "${known}"`, options, optionNames);
  return await backends[known === "auto" ? (await chooseBackend()).name : known](options);
}

let shared: Promise<Backend> | null = null;

/**
 * The backend of models that are given none: opened by the first of them and shared by all, for as long as the program runs.
 *
 * @throws what `openBackend` throws.
 */
export async function defaultBackend(): Promise<Backend> {
  shared ??= openBackend();
  try {
    return await shared;
  } catch (error) {
    // The environment may be fixed before the next model.
    shared = null;
    throw error;
  }
}
