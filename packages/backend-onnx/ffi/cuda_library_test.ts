import assert from "node:assert/strict";
import { join } from "node:path";
import { checkCudnn, findCudaLibrary, loadingObstacle } from "./cuda_library.ts";

const linux = { os: "linux", arch: "x86_64" };

/** Runs with a folder that holds empty files of some names. */
async function withFiles(names: readonly string[], body: (folder: string) => void): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await Promise.all(names.map((name) => Deno.writeFile(join(folder, name), new Uint8Array())));
    body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A loader that refuses with a message. */
function refusing(message: string): () => void {
  return () => {
    throw new Error(`Could not open library: ${message}`);
  };
}

Deno.test("findCudaLibrary() finds the engine beside ONNX Runtime", async () => {
  const names = ["libonnxruntime_providers_cuda.so", "libonnxruntime_providers_shared.so"];
  await withFiles(names, (folder) => {
    assert.equal(findCudaLibrary(join(folder, "libonnxruntime.so.1"), linux), join(folder, names[0]!));
  });
});

Deno.test("findCudaLibrary() names what was not downloaded, and the command that does", async () => {
  await withFiles(["libonnxruntime_providers_shared.so"], (folder) => {
    assert.throws(() => findCudaLibrary(join(folder, "libonnxruntime.so.1"), linux), (error: Error) => {
      const [, script] = /deno run -A "(.*)" --onnxruntime-node-install=cuda12$/.exec(error.message) ?? [];
      assert.match(error.message, /^Cannot use CUDA: libonnxruntime_providers_cuda\.so not found in /);
      return Deno.statSync(script!).isFile;
    });
  });
  await withFiles([], (folder) => {
    assert.throws(() => findCudaLibrary(join(folder, "onnxruntime.dll"), { os: "windows", arch: "x86_64" }), {
      message: /onnxruntime_providers_cuda\.dll and .*does not download them on Windows: .*Gpu\.Windows 1\.30\.0 to/,
    });
  });
});

Deno.test("findCudaLibrary() names the platforms that have CUDA when this one does not", () => {
  assert.throws(() => findCudaLibrary(undefined, { os: "darwin", arch: "aarch64" }), {
    name: "RangeError",
    message:
      "Cannot use CUDA on darwin-aarch64: ONNX Runtime's CUDA engine is built for linux-x86_64 and windows-x86_64; " +
      'open "webgpu" or "cpu"',
  });
  assert.throws(() => findCudaLibrary(undefined, { os: "linux", arch: "aarch64" }), {
    message: /on linux-aarch64: .*, or pass "libraryPath"/,
  });
});

Deno.test("loadingObstacle() says what the missing library belongs to", () => {
  const missing = (file: string) =>
    loadingObstacle("/ort/cuda.so", refusing(`${file}: cannot open shared object file: No such file or directory`)) ??
      "";
  assert.match(missing("libcublasLt.so.13"), /^libcublasLt\.so\.13 is not found, .*NVIDIA's CUDA runtime 13; install/);
  assert.match(missing("libcurand.so.10"), /NVIDIA's CUDA runtime; install/);
  assert.match(missing("libcuda.so.1"), /the NVIDIA driver; install/);
  assert.match(missing("libcudnn.so.9"), /cuDNN 9; install/);
  assert.match(missing("libsomething.so"), /another package; install/);
});

Deno.test("loadingObstacle() finds none where only ONNX Runtime's own symbol is missing", () => {
  assert.equal(loadingObstacle("/ort/cuda.so", () => {}), null);
  assert.equal(loadingObstacle("/ort/cuda.so", refusing("/ort/cuda.so: undefined symbol: Provider_GetHost")), null);
  assert.match(loadingObstacle("/ort/cuda.so", refusing("file too short")) ?? "", /does not load: file too short$/);
});

Deno.test("checkCudnn() takes either name, and says what to install when there is none", () => {
  const asked: string[] = [];
  checkCudnn(linux, (file) => {
    asked.push(file);
    if (file !== "libcudnn.so") throw new Error("no such file");
  });
  assert.deepEqual(asked, ["libcudnn.so.9", "libcudnn.so"]);
  assert.throws(() => checkCudnn(linux, refusing("no such file")), {
    message:
      "Cannot use CUDA: cuDNN 9 (libcudnn.so.9) is not found; install it, and have its folder in LD_LIBRARY_PATH",
  });
});
