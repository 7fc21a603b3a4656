import assert from "node:assert/strict";
import { backendNames, chooseBackend, openBackend } from "./backends.ts";

/** Runs with another answer to the question for a GPU. */
async function withAdapter(info: Partial<GPUAdapterInfo> | null, body: () => Promise<void>): Promise<void> {
  const { gpu } = navigator;
  const requestAdapter = () => Promise.resolve(info === null ? null : { info });
  Object.defineProperty(navigator, "gpu", { value: { requestAdapter }, configurable: true });
  try {
    await body();
  } finally {
    Object.defineProperty(navigator, "gpu", { value: gpu, configurable: true });
  }
}

Deno.test("chooseBackend() takes a GPU, but not one that the processor emulates", async () => {
  await withAdapter(
    { description: "Some GPU", vendor: "", isFallbackAdapter: false },
    async () => assert.deepEqual(await chooseBackend(), { name: "webgpu", reason: "found Some GPU" }),
  );
  await withAdapter({ description: "llvmpipe", vendor: "", isFallbackAdapter: true }, async () => {
    const reason = "the only GPU is llvmpipe, which the processor emulates";
    assert.deepEqual(await chooseBackend(), { name: "cpu", reason });
  });
  await withAdapter(
    null,
    async () => assert.deepEqual(await chooseBackend(), { name: "cpu", reason: "no GPU was found" }),
  );
});

Deno.test("openBackend() opens what was chosen, and refuses unknown names with the nearest", async () => {
  await withAdapter(null, async () => {
    const backend = await openBackend("auto", { threads: 1 });
    assert.equal(backend.name, "cpu");
    backend.dispose();
    await assert.rejects(openBackend("webgpu"), /no GPU adapter was found; .*apt-get install mesa-vulkan-drivers/);
  });
  await assert.rejects(openBackend("webgpus" as "webgpu"), {
    name: "RangeError",
    message: 'Cannot open backend "webgpus": there is none of that name; did you mean "webgpu"? The backends are ' +
      `${backendNames.join(", ")}, and auto picks one`,
  });
});
