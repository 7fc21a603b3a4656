import assert from "node:assert/strict";
import { acquireEnvironment, outPointer } from "./environment.ts";
import { checkVersion, cString, findLibrary, libraryFile, openLibrary, OrtError } from "./library.ts";

Deno.test("findLibrary() finds the library of the installed package", async () => {
  assert.equal((await Deno.stat(findLibrary())).isFile, true);
});

Deno.test("libraryFile() knows the platforms that the package ships a library for", () => {
  const known: Record<string, string> = {
    "linux-x86_64": "bin/napi-v6/linux/x64/libonnxruntime.so.1",
    "linux-aarch64": "bin/napi-v6/linux/arm64/libonnxruntime.so.1",
    "darwin-aarch64": "bin/napi-v6/darwin/arm64/libonnxruntime.1.30.0.dylib",
    "windows-x86_64": "bin/napi-v6/win32/x64/onnxruntime.dll",
    "windows-aarch64": "bin/napi-v6/win32/arm64/onnxruntime.dll",
  };
  for (const [name, file] of Object.entries(known)) {
    const [os, arch] = name.split("-") as [string, string];
    assert.equal(libraryFile({ os, arch }), file);
  }
});

Deno.test("libraryFile() names the platforms that would work when this one does not", () => {
  assert.throws(() => libraryFile({ os: "darwin", arch: "x86_64" }), {
    name: "RangeError",
    message: /Cannot run ONNX Runtime on darwin-x86_64: .* linux-x86_64, .*"libraryPath"/,
  });
});

Deno.test("openLibrary() opens the library and reports its version", () => {
  const { version, api } = openLibrary();
  assert.equal(version, "1.30.0");
  assert.equal(typeof api.run, "function");
});

Deno.test("openLibrary() of a missing file says what to do", () => {
  assert.throws(() => openLibrary("/missing/libonnxruntime.so"), {
    message: /Cannot open ONNX Runtime at "\/missing\/libonnxruntime\.so": .*run "deno install".*"libraryPath"/,
  });
});

Deno.test("openLibrary() of a library without OrtGetApiBase says what to do", async () => {
  const path = await Deno.makeTempFile({ suffix: ".so" });
  try {
    assert.throws(() => openLibrary(path), { message: /Cannot open ONNX Runtime at .*run "deno install"/ });
  } finally {
    await Deno.remove(path);
  }
});

Deno.test({
  name: "openLibrary() without permission says which flag is missing",
  permissions: { read: true, ffi: false },
  fn: () => {
    assert.throws(() => openLibrary(), { name: "NotCapable", message: /Cannot open ONNX Runtime: .*--allow-ffi/ });
  },
});

Deno.test("checkVersion() takes the versions that the function table holds for", () => {
  for (const version of ["1.24.0", "1.30.0", "1.31.2"]) checkVersion(version, "library");
  for (const version of ["1.23.9", "2.0.0", "unknown"]) {
    assert.throws(() => checkVersion(version, "library"), {
      message: new RegExp(`Cannot use ONNX Runtime ${version} at "library": version 1.24 or later`),
    });
  }
});

Deno.test("A failing call throws ONNX Runtime's message", () => {
  const environment = acquireEnvironment({ threads: 2 });
  try {
    const out = outPointer();
    environment.api.createSessionOptions(out);
    const [level, settings] = [12345, out[0]!];
    assert.throws(
      () => environment.api.setSessionGraphOptimizationLevel(settings, level),
      (error) => error instanceof OrtError && error.code === 2 && /graph_optimization_level/.test(error.message),
    );
    environment.api.releaseSessionOptions(settings);
  } finally {
    environment.release();
  }
});

Deno.test("cString() ends with a zero byte", () => {
  assert.deepEqual([...cString("né")], [0x6e, 0xc3, 0xa9, 0]);
});

Deno.test("acquireEnvironment() shares one environment and refuses other options while it lives", () => {
  const first = acquireEnvironment({ threads: 2 });
  const second = acquireEnvironment({ threads: 2 });
  assert.equal(first, second);
  assert.throws(() => acquireEnvironment({ threads: 1 }), {
    message: /Cannot start ONNX Runtime with .*"threads":1.*"threads":2/,
  });
  first.release();
  second.release();
  const third = acquireEnvironment({ threads: 1 });
  assert.equal(third.threads, 1);
  third.release();
});

Deno.test("acquireEnvironment() refuses a number of threads that is not a positive integer", () => {
  for (const threads of [0, -1, 1.5]) {
    assert.throws(() => acquireEnvironment({ threads }), { name: "RangeError", message: /positive integer/ });
  }
});
