import assert from "node:assert/strict";
import { bundle } from "./bundle.ts";

/** Uses of what only Deno or Node has, in a bundle. */
const foreign = /\bDeno\s*[.[?]|["']node:\w+["']|(?<![#.\w])require\(\s*["']/g;

Deno.test("bundle() makes a browser's program of the facade, without Deno, Node or polyfills of them", async () => {
  const { files, metafile } = await bundle(["page/testdata/facade.ts"]);
  for (const [name, text] of files) assert.deepEqual(text.match(foreign), null, name);
  const inputs = Object.keys(metafile.inputs).map((path) => path.replaceAll("\\", "/"));
  for (
    const name of [
      "text",
      "core",
      "runtime",
      "files",
      "tokenizer",
      "hub",
      "nn",
      "vision",
      "lora",
      "convert",
      "train",
      "models",
      "backend-webgpu",
    ]
  ) {
    assert(inputs.some((path) => path.includes(`packages/${name}/`)), `${name} is in the bundle`);
  }
  const unwanted = inputs.filter((path) =>
    /backend-onnx|onnxruntime|polyfill|files\/(disk|disk_blob|file_bytes)\.ts|hub\/(push\/sha256|download\/download)\.ts/
      .test(path)
  );
  assert.deepEqual(unwanted, []);
  for (const { imports } of Object.values(metafile.outputs)) {
    assert.deepEqual(imports.filter(({ external }) => external), []);
  }
});
