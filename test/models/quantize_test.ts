/** Models whose weights are stored in 8 or 4 bits: how far their logits are off, what they cost, and that adapters train on them. */
import assert from "node:assert/strict";
import { assertAllClose } from "@tessera/core/testing";
import { type HostTensor, hostTensor } from "@tessera/core";
import { openSafetensors } from "@tessera/files";
import { countParameters, type QuantizationName } from "@tessera/nn";
import { imageTensor } from "@tessera/train";
import { adamW, CausalLM, createDataset, type Distribution, openBackend } from "tessera";
import { readGolden } from "../support/pali_goldens.ts";
import { assertFails } from "../support/failures.ts";
import { distributions, meshOf } from "../support/meshes.ts";
import { cosineOf, trainOnBoth } from "../support/quantized.ts";
import {
  countingRows,
  examplesOf,
  golden,
  tinyModel,
  withCheckpoint,
  withFolder,
  withSavedModel,
} from "../support/models.ts";

const backend = await openBackend("cpu", { deviceCount: 4 });

/** The length of the difference of two tensors over the length of the second, and the cosine between them. */
function compare(found: HostTensor, expected: HostTensor): { error: number; cosine: number } {
  let [difference, own, other, dot] = [0, 0, 0, 0];
  for (let i = 0; i < expected.data.length; i++) {
    const [x, y] = [found.data[i]!, expected.data[i]!];
    difference += (x - y) ** 2;
    own += x * x;
    other += y * y;
    dot += x * y;
  }
  return { error: Math.sqrt(difference / other), cosine: dot / Math.sqrt(own * other) };
}

/** Random weights are the worst case: nothing in them makes up for errors. */
const folders = ["gemma1_mha", "gemma2_gqa", "gemma2_bf16_shards"].map((name) => `gemma/${name}`)
  .concat(["llama3_gqa", "llama32_tied_bf16"].map((name) => `llama/${name}`));

for (const name of folders) {
  Deno.test(`${name} in int8 has the logits of Transformers within 10 %`, async () => {
    const file = await openSafetensors(`${golden(name)}/golden.safetensors`);
    const lm = await CausalLM.fromPreset(golden(name), { backend, quantize: "int8" });
    try {
      const logits = await lm.score({ tokenIds: file.read("input_ids") as HostTensor<"int32"> });
      const { error, cosine } = compare(logits, file.read("logits"));
      assert(error < 0.1 && cosine > 0.995, `off by ${error}, cosine ${cosine}`);
    } finally {
      lm.dispose();
      file.close();
    }
  });
}

/** Wide enough for whole blocks, and for every kernel that a backend has. */
const wide = { numLayers: 3, hiddenDim: 256, headDim: 64, intermediateDim: 1024 };
const tokenIds = hostTensor("int32", [2, 16], Int32Array.from({ length: 32 }, (_, i) => (i * 13 + 7) % 480));

/** How far random weights, whose errors are as large as errors get, may move the logits. */
const most: Readonly<Record<QuantizationName, number>> = { int8: 0.045, int4: 0.24 };

for (const quantize of ["int8", "int4"] as const) {
  Deno.test(`${quantize}: logits stay near, steps of a cache agree with whole prompts, and the bytes are counted`, async () => {
    await withFolder(async (folder) => {
      const exact = tinyModel(backend, wide);
      await exact.saveToPreset(folder);
      const expected = await exact.score({ tokenIds });
      const lm = await CausalLM.fromPreset(folder, { backend, quantize });
      const { error } = compare(await lm.score({ tokenIds }), expected);
      assert(error < most[quantize] && error > 1e-4, `off by ${error}`);

      const [tokens] = await lm.generateTokens([[5, 9, 300, 41]], { maxNewTokens: 8, stopTokenIds: [] });
      const whole = await lm.score({ tokenIds: [[5, 9, 300, 41, ...tokens!]] });
      const width = lm.vocabularySize;
      assert.equal(tokens!.length, 8);
      tokens!.forEach((token, i) => {
        const row = whole.data.subarray((3 + i) * width, (4 + i) * width);
        const best = Math.max(...row);
        assert(row[token]! > best - 0.05 * Math.abs(best), `token ${i} has ${row[token]}, the best ${best}`);
      });

      const [before, after] = [countParameters(exact.variables), countParameters(lm.variables)];
      assert.equal(after.total, before.total);
      const share = after.bytes / before.bytes;
      assert(share < (quantize === "int8" ? 0.26 : 0.17), `${share} of the bytes`);
      assert.match(lm.summary(), new RegExp(`${quantize}\\[`));
      exact.dispose();
      lm.dispose();
    });
  });

  Deno.test(`${quantize}: an adapter trains on it as on float32, and loads elsewhere`, async () => {
    await withCheckpoint(backend, async (folder) => {
      const dataset = createDataset(examplesOf(countingRows([16, 12, 16, 9])), { batchSize: 4, buckets: [16] });
      const losses = async (lm: CausalLM) => {
        lm.enableLora({ rank: 3, layout: "peft", seed: 5 });
        lm.compile({ optimizer: adamW({ learningRate: 2e-2 }) });
        return (await lm.fit(dataset, { epochs: 8 })).steps.map(({ loss }) => loss);
      };
      const exact = await CausalLM.fromPreset(folder, { backend });
      const lm = await CausalLM.fromPreset(folder, { backend, quantize });
      const [expected, found] = [await losses(exact), await losses(lm)];
      assert(expected.at(-1)! < expected[0]! - 0.5);
      assertAllClose(found, expected, { absolute: 0, relative: 0.1 });

      await assertFails(() => lm.mergeLora(), TypeError, [`is stored as ${quantize}`, "save the adapter"]);
      await withFolder(async (adapter) => {
        await lm.saveAdapter(adapter);
        exact.unloadLora();
        await exact.loadAdapter(adapter);
        const { loss } = await exact.evaluate(dataset);
        assert(loss < expected[0]! - 0.5, `the adapter's loss elsewhere is ${loss}`);
      });
      lm.unloadLora();
      assert(lm.denses.every(({ kernel }) => !kernel.trainable), "codes have no gradient");
      await withFolder((other) =>
        assertFails(() => lm.saveToPreset(other), TypeError, ["is stored as int", "without quantize"])
      );
      exact.dispose();
      lm.dispose();
    });
  });
}

for (const quantize of ["int8", "int4"] as const) {
  Deno.test(`${quantize}: an adapter trains as on the floats that the codes stand for`, async () => {
    await withSavedModel(backend, { hiddenDim: 64, headDim: 32, intermediateDim: 256 }, async (folder) => {
      // 4 × 24 rows: more than kernels for few rows are taken for.
      const { quantized, floats } = await trainOnBoth(folder, backend, { quantize, length: 24 });
      assert(floats.losses.at(-1)! < floats.losses[0]! - 0.3, `${floats.losses}`);
      // Layers round their input to 8 bits, gradients do not.
      assertAllClose(quantized.losses, floats.losses, { absolute: 0, relative: 0.01 });
      const cosine = cosineOf(quantized.factors, floats.factors);
      assert(cosine > 0.97, `the adapters' cosine is ${cosine}`);
    });
  });
}

for (const quantize of ["int8", "int4"] as const) {
  Deno.test(`${quantize} on a mesh: scales go with their codes, and logits are as near as on one device`, async () => {
    await withSavedModel(backend, { hiddenDim: 64, headDim: 32, intermediateDim: 512 }, async (folder) => {
      const run = async (distribution: Distribution | null) => {
        const lm = await CausalLM.fromPreset(folder, { backend, distribution, quantize });
        // Few rows on each device, and many.
        const [few, many] = [countingRows([12, 12], 36), countingRows([80, 80], 36)];
        const logits = [await lm.score({ tokenIds: few }), await lm.score({ tokenIds: many })];
        const tokens = await lm.generateTokens([[5, 9, 30]], { maxNewTokens: 6, stopTokenIds: [] });
        lm.dispose();
        return { logits, tokens };
      };
      const expected = await run(null);
      for (const [batch, model] of [[2, 2], [1, 4]] as const) {
        const { logits, tokens } = await run(distributions["the published map"]!(meshOf(backend, batch, model)));
        logits.forEach((found, i) => {
          // Each device rounds its share of the input by itself, so errors differ; they must not be larger.
          const { error } = compare(found, expected.logits[i]!);
          assert(error < 0.06, `off by ${error} on ${batch}×${model}`);
        });
        assert.equal(tokens[0]!.length, 6);
      }
    });
  });
}

Deno.test("a mesh that would cut a block of 4-bit codes is refused before anything is loaded", async () => {
  await withSavedModel(backend, { hiddenDim: 64 }, async (folder) => {
    const distribution = distributions["the published map"]!(meshOf(backend, 4, 1));
    const load = (quantize: QuantizationName) => CausalLM.fromPreset(folder, { backend, distribution, quantize });
    await assertFails(() => load("int4"), RangeError, [
      "attention/query/kernel",
      "its 2 blocks of 32",
      "over 4 devices",
    ]);
    (await load("int8")).dispose();
  });
});

Deno.test("the decoder of a PaliGemma is stored in int8, its tower as it was", async () => {
  const folder = golden("pali_gemma/pali2_gqa_window");
  const { file, tokenIds, rawImages } = await readGolden(folder);
  file.close();
  const images = imageTensor(rawImages);
  const [exact, lm] = [
    await CausalLM.fromPreset(folder, { backend }),
    await CausalLM.fromPreset(folder, { backend, quantize: "int8" }),
  ];
  assert(lm.denses.every(({ path, kernel }) => (kernel.quantization === null) === path.startsWith("image_")));
  const { error } = compare(await lm.score({ tokenIds, images }), await exact.score({ tokenIds, images }));
  assert(error > 1e-4 && error < 0.1, `off by ${error}`);
  exact.dispose();
  lm.dispose();
});

Deno.test("fromPreset() says which quantizations there are", async () => {
  await withCheckpoint(backend, (folder) =>
    assertFails(
      () => CausalLM.fromPreset(folder, { backend, quantize: "int3" as QuantizationName }),
      RangeError,
      ['Cannot quantize to "int3"', "int8, int4"],
    ));
});
