/** The library of ONNX Runtime's CUDA engine: where it is, how to get it, and what keeps it from loading. */

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { supportedLibrary } from "./api_table.ts";
import { findLibrary, type Platform } from "./library.ts";

/** The engine's library, and what it shares with those of other engines; they lie beside ONNX Runtime's own. */
const names: Readonly<Record<string, { readonly cuda: string; readonly shared: string }>> = {
  linux: { cuda: "libonnxruntime_providers_cuda.so", shared: "libonnxruntime_providers_shared.so" },
  windows: { cuda: "onnxruntime_providers_cuda.dll", shared: "onnxruntime_providers_shared.dll" },
};

/** Platforms for which ONNX Runtime's makers build it. */
const built = ["linux-x86_64", "windows-x86_64"];

/** The script of `onnxruntime-node` that downloads the libraries, where it does. */
function installScript(): string {
  return fileURLToPath(new URL("../script/install.js", import.meta.resolve("onnxruntime-node")));
}

/**
 * The path of the CUDA engine's library, beside ONNX Runtime's.
 *
 * @throws {RangeError} when there is none for the platform.
 * @throws {Error} when it has not been downloaded, with the command that does.
 */
export function findCudaLibrary(libraryPath?: string, platform: Platform = Deno.build): string {
  const here = `${platform.os}-${platform.arch}`;
  const files = names[platform.os];
  if (files === undefined || (libraryPath === undefined && !built.includes(here))) {
    throw new RangeError(
      `Cannot use CUDA on ${here}: ONNX Runtime's CUDA engine is built for ${
        built.join(" and ")
      }; open "webgpu" or "cpu"` +
        (files === undefined ? "" : ', or pass "libraryPath" with ONNX Runtime built with CUDA for this platform'),
    );
  }
  const folder = dirname(libraryPath ?? findLibrary(platform));
  const missing = [files.cuda, files.shared].filter((name) => !exists(join(folder, name)));
  if (missing.length === 0) return join(folder, files.cuda);
  throw new Error(`Cannot use CUDA: ${missing.join(" and ")} not found in "${folder}"; ${howToGet(platform, folder)}`);
}

function howToGet({ os }: Platform, folder: string): string {
  if (os === "linux") return `download with: deno run -A "${installScript()}" --onnxruntime-node-install=cuda12`;
  return `"onnxruntime-node" does not download them on Windows: copy both from "runtimes/win-x64/native" of the NuGet package ` +
    `Microsoft.ML.OnnxRuntime.Gpu.Windows ${supportedLibrary.tested} to "${folder}"`;
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** What a library that the engine needs belongs to, by the beginning of its name. */
const owners: readonly (readonly [RegExp, string])[] = [
  [/^(libcuda\.|nvcuda)/, "the NVIDIA driver"],
  [/^(lib)?cudnn/, "cuDNN 9"],
  [/^(lib)?(cudart|cublas|curand|cufft|nvrtc|nvJitLink)/, "NVIDIA's CUDA runtime"],
];

/** What the system's loader says about a missing library; the first group is the file. */
const missingLibrary = /([\w.+-]+\.(?:so[\d.]*|dll)): cannot open shared object file/;

/** What the loader says where nothing is missing: ONNX Runtime supplies the symbol when it is the one that loads. */
const onlyHost = /undefined symbol: Provider_GetHost/;

/**
 * What keeps the system from loading the engine's library, and what would help; `null` when nothing does. ONNX Runtime itself
 * prints that to the console and reports only that it failed.
 */
export function loadingObstacle(path: string, load: (path: string) => void = tryLoading): string | null {
  let reason: string;
  try {
    load(path);
    return null;
  } catch (error) {
    reason = (error instanceof Error ? error.message : String(error)).replace(/^(Could not open library: )+/, "");
  }
  if (onlyHost.test(reason)) return null;
  const file = missingLibrary.exec(reason)?.[1];
  if (file === undefined) return `"${path}" does not load: ${reason}`;
  const [, owner = "another package"] = owners.find(([pattern]) => pattern.test(file)) ?? [];
  const version = /^lib(?:cudart|cublas|cublasLt)\.so\.(\d+)$/.exec(file)?.[1];
  return `${file} is not found, which "${path}" needs: it belongs to ${owner}` +
    (version === undefined ? "" : ` ${version}`) + "; install that, and have its folder in LD_LIBRARY_PATH";
}

/** The names under which the engine looks for cuDNN, not before a program needs it. */
const cudnnFiles: Readonly<Record<string, readonly string[]>> = {
  linux: ["libcudnn.so.9", "libcudnn.so"],
  windows: ["cudnn64_9.dll"],
};

/**
 * Looks for cuDNN, which the engine needs for reductions and loads only in the middle of a run.
 *
 * @throws {Error} when the system's loader does not find it.
 */
export function checkCudnn({ os }: Pick<Platform, "os"> = Deno.build, load: (path: string) => void = tryLoading): void {
  const files = cudnnFiles[os] ?? [];
  for (const file of files) {
    try {
      return load(file);
    } catch {
      // Another name may be found.
    }
  }
  throw new Error(
    `Cannot use CUDA: cuDNN 9 (${files[0]}) is not found; install it, and have its folder in ` +
      (os === "windows" ? "PATH" : "LD_LIBRARY_PATH"),
  );
}

function tryLoading(path: string): void {
  Deno.dlopen(path, {}).close();
}
