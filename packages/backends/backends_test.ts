import assert from "node:assert/strict";
import { backendNames, chooseAmong, chooseBackend, openBackend } from "./backends.ts";

const noCuda = { gpus: [], obstacle: "no driver" };

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

Deno.test("chooseBackend() takes a GPU by WebGPU, but not one that the processor emulates", async () => {
  await withAdapter(
    { description: "Some GPU", vendor: "", isFallbackAdapter: false },
    async () => assert.deepEqual(await chooseAmong(noCuda), { name: "webgpu", reason: "found Some GPU" }),
  );
  await withAdapter({ description: "llvmpipe", vendor: "", isFallbackAdapter: true }, async () => {
    const reason = "the only GPU is llvmpipe, which the processor emulates";
    assert.deepEqual(await chooseAmong(noCuda), { name: "cpu", reason });
  });
  await withAdapter(
    null,
    async () =>
      assert.deepEqual(await chooseAmong(noCuda), {
        name: "cpu",
        reason: "no GPU was found, neither by CUDA nor by WebGPU",
      }),
  );
});

Deno.test("chooseBackend() takes CUDA before all else, and says what keeps it from doing so", async () => {
  const gpu = (name: string) => ({ name, bytes: 2 ** 36 });
  await withAdapter({ description: "Some GPU", vendor: "", isFallbackAdapter: false }, async () => {
    const one = { gpus: [gpu("NVIDIA H100")], obstacle: null };
    assert.deepEqual(await chooseAmong(one), { name: "onnx-cuda", reason: "found NVIDIA H100, and CUDA" });
    const two = { gpus: [gpu("NVIDIA H100"), gpu("NVIDIA A100")], obstacle: null };
    assert.equal((await chooseAmong(two)).reason, "found NVIDIA H100 and 1 more, and CUDA");
    assert.deepEqual(await chooseAmong({ ...two, obstacle: "Cannot use CUDA: cuDNN 9 is not found" }), {
      name: "webgpu",
      reason: "found Some GPU; CUDA is left out for NVIDIA H100: Cannot use CUDA: cuDNN 9 is not found",
    });
  });
});

Deno.test("openBackend() opens what was chosen, and refuses unknown names with the nearest", async () => {
  await withAdapter(null, async () => {
    const backend = await openBackend("auto", { threads: 1 });
    assert.equal(backend.name, (await chooseBackend()).name);
    backend.dispose();
    await assert.rejects(openBackend("webgpu"), /no GPU adapter was found; .*apt-get install mesa-vulkan-drivers/);
  });
  await assert.rejects(openBackend("webgpus" as "webgpu"), {
    name: "RangeError",
    message: 'Cannot open backend "webgpus": there is none of that name; did you mean "webgpu"? The backends are ' +
      `${backendNames.join(", ")}, and auto, which takes the fastest that is present`,
  });
});

Deno.test("openBackend() without a name opens what TESSERA_BACKEND names, else the processor's", async () => {
  const before = Deno.env.get("TESSERA_BACKEND");
  try {
    for (const [named, opened] of [["tfjs-cpu", "tfjs-cpu"], ["", "cpu"]] as const) {
      Deno.env.set("TESSERA_BACKEND", named);
      const backend = await openBackend();
      assert.equal(backend.name, opened);
      backend.dispose();
    }
    Deno.env.set("TESSERA_BACKEND", "webgpus");
    await assert.rejects(openBackend(), /^RangeError: Cannot use TESSERA_BACKEND=webgpus: .* did you mean "webgpu"\?/);
  } finally {
    if (before === undefined) Deno.env.delete("TESSERA_BACKEND");
    else Deno.env.set("TESSERA_BACKEND", before);
  }
});
