/**
 * Weights exist once in the process, whatever runs on them. Each measurement is made in a process of its own, so that nothing that
 * ran before counts; Linux only, because elsewhere nobody says which memory is a file's.
 */
import assert from "node:assert/strict";
import { toFloat32 } from "@tessera/core";
import { adamW, CausalLM, createDataset, openBackend } from "tessera";
import { countingRows, examplesOf, tinyModel, withFolder, withSavedModel } from "../support/models.ts";

const backend = await openBackend("cpu");
const MiB = 2 ** 20;

/** Runs a test with a folder that holds a checkpoint of 37 million parameters. */
async function withWeights(dtype: "float32" | "bfloat16", run: (folder: string) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const lm = tinyModel(backend, {
      vocabularySize: 8000,
      numLayers: 6,
      numQueryHeads: 8,
      numKeyValueHeads: 4,
      hiddenDim: 512,
      intermediateDim: 6144,
      headDim: 64,
    });
    await lm.saveToPreset(folder, { dtype });
    lm.dispose();
    await run(folder);
  });
}

interface MemoryUse {
  /** The size of the weights in memory, in bytes. */
  readonly weights: number;
  /** The size of the largest of them. */
  readonly largest: number;
  /** What was touched beyond the start, in bytes, by what was done. */
  readonly used: Readonly<Record<string, number>>;
}

async function measure(scenario: string, folder: string): Promise<MemoryUse> {
  const script = new URL("../support/memory_use.ts", import.meta.url).pathname;
  const args = ["run", "-A", "--v8-flags=--expose-gc", script, scenario, folder];
  const { success, stdout } = await new Deno.Command(Deno.execPath(), { args, stderr: "inherit" }).output();
  assert(success, "the measuring process failed");
  const found: MemoryUse = JSON.parse(new TextDecoder().decode(stdout));
  for (const [what, bytes] of Object.entries(found.used)) {
    console.log(
      `${scenario}: ${(bytes / MiB).toFixed(1)} MiB after ${what}, weights ${(found.weights / MiB).toFixed(1)}`,
    );
  }
  return found;
}

function onLinux(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: Deno.build.os !== "linux", fn });
}

onLinux("a float32 checkpoint is loaded without a copy, and no program makes one", async () => {
  await withWeights("float32", async (folder) => {
    const alone = await measure("load", folder);
    assert(alone.used.loading! < 0.1 * alone.weights, "loading made a copy");
    assert(alone.used.scoring! < 0.5 * alone.weights, "scoring made a copy");
    const together = await measure("programs", folder);
    const most = Math.max(...Object.values(together.used));
    assert(most < 0.75 * together.weights, "one of the programs that train, evaluate, score and generate made a copy");
  });
});

onLinux("a bfloat16 checkpoint is widened one tensor at a time, or not at all", async () => {
  await withWeights("bfloat16", async (folder) => {
    const { used, weights, largest } = await measure("widen", folder);
    assert(used.most! > 0.9 * weights, "the memory of the weights must be seen");
    assert(used.most! <= weights + largest + 16 * MiB, `${used.most} bytes for weights of ${weights}`);
    const kept = await measure("keep", folder);
    assert(kept.used.loading! < 0.1 * kept.weights, "loading made a copy");
  });
});

onLinux(
  "a checkpoint is rounded to 4 bits one tensor at a time, and its floats leave memory when they are read",
  async () => {
    await withWeights("bfloat16", async (folder) => {
      const { used, weights } = await measure("quantize", folder);
      // The embedding, the largest tensor of the file.
      const largest = 8000 * 512 * 2;
      assert(used.most! > 0.9 * weights, "the memory of the weights must be seen");
      assert(used.most! <= weights + largest + 24 * MiB, `${used.most} bytes for weights of ${weights}`);
    });
  },
);

onLinux("eight devices get their slices of a checkpoint and no more, whatever they are cut from", async () => {
  for (const dtype of ["float32", "bfloat16"] as const) {
    await withWeights(dtype, async (folder) => {
      const { used, weights, largest } = await measure("shard", folder);
      assert(used.most! > 0.4 * weights, "slices along inner axes are copied, and must be seen");
      assert(used.most! <= weights + largest + 32 * MiB, `${used.most} bytes for weights of ${weights}`);
    });
  }
});

onLinux("memory does not grow while tokens are generated", async () => {
  await withFolder(async (folder) => {
    // The logits of a step are 1 MiB, so that it would show if those of some were kept: V8's heap alone takes 10 MiB more or less.
    const lm = tinyModel(backend, { vocabularySize: 128_000 }, { text: { contextLength: 600 } });
    await lm.saveToPreset(folder);
    lm.dispose();
    const { used } = await measure("decode", folder);
    assert(used["token 130"]! < used["token 30"]! + 24 * MiB, "memory grew from token to token");
    assert(used["token 400"]! < used["token 30"]! + 32 * MiB, "memory grew with the cache");
  });
});

Deno.test("training all weights of a loaded checkpoint writes to memory, never to the file", async () => {
  await withSavedModel(backend, {}, async (folder) => {
    const before = await Deno.readFile(`${folder}/model.safetensors`);
    const lm = await CausalLM.fromPreset(folder, { backend });
    const values = await Promise.all(lm.variables.map(async ({ value }) => toFloat32(await value!.read())));
    lm.compile({ optimizer: adamW({ learningRate: 1e-2 }) });
    await lm.fit(createDataset(examplesOf(countingRows([8])), { batchSize: 1, buckets: [8] }));
    for (const [i, variable] of lm.variables.entries()) {
      assert.notDeepEqual(toFloat32(await variable.value!.read()), values[i], `${variable} was not trained`);
    }
    lm.dispose();
    assert.deepEqual(await Deno.readFile(`${folder}/model.safetensors`), before);
  });
});
