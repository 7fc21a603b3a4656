import assert from "node:assert/strict";
import * as native from "./native.ts";
import * as noNative from "./no_native.ts";

Deno.test("what stands for native backends in a browser has all of them, and says what to open instead", async () => {
  assert.deepEqual(Object.keys(noNative).toSorted(), Object.keys(native).toSorted());
  await assert.rejects(noNative.openCuda({}), /^Error: Cannot open backend "onnx-cuda": .*; open "webgpu"/);
  assert.deepEqual((await noNative.findCuda()).gpus, []);
  await assert.rejects(noNative.openOnnx({}), /^Error: Cannot open backend "cpu": .*; open "webgpu", or "tfjs-cpu"/);
});
