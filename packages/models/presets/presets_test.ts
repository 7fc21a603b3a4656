import assert from "node:assert/strict";
import { countParameters } from "@tessera/nn";
import { buildPreset, type PresetName, presetOf, presets } from "./presets.ts";

/** The published counts, from KerasHub's table. */
const published: readonly (readonly [count: number, ...names: PresetName[]])[] = [
  [
    2_506_172_416,
    "gemma_2b_en",
    "gemma_instruct_2b_en",
    "gemma_1.1_instruct_2b_en",
    "code_gemma_2b_en",
    "code_gemma_1.1_2b_en",
  ],
  [
    8_537_680_896,
    "gemma_7b_en",
    "gemma_instruct_7b_en",
    "gemma_1.1_instruct_7b_en",
    "code_gemma_7b_en",
    "code_gemma_instruct_7b_en",
    "code_gemma_1.1_instruct_7b_en",
  ],
  [2_614_341_888, "gemma2_2b_en", "gemma2_instruct_2b_en", "shieldgemma_2b_en", "c2s_scale_gemma_2_2b_en"],
  [9_241_705_984, "gemma2_9b_en", "gemma2_instruct_9b_en", "shieldgemma_9b_en"],
  [27_227_128_320, "gemma2_27b_en", "gemma2_instruct_27b_en", "shieldgemma_27b_en", "c2s_scale_gemma_2_27b_en"],
  [
    8_030_261_248,
    "llama3_8b_en",
    "llama3_instruct_8b_en",
    "llama3.1_8b",
    "llama3.1_instruct_8b",
    "llama3.1_guard_8b",
  ],
  // Without the copies of the embedding that KerasHub's files hold beside it.
  [1_235_814_400, "llama3.2_1b", "llama3.2_instruct_1b", "llama3.2_guard_1b"],
  [3_212_749_824, "llama3.2_3b", "llama3.2_instruct_3b"],
  [70_553_706_496, "llama3.3_instruct_70b"],
  [2_923_335_408, "pali_gemma_3b_mix_224", "pali_gemma_3b_224"],
  [2_924_220_144, "pali_gemma_3b_mix_448", "pali_gemma_3b_448"],
  [2_927_759_088, "pali_gemma_3b_896"],
  [3_032_094_960, "pali_gemma2_mix_3b_224", "pali_gemma2_pt_3b_224"],
  [3_032_979_696, "pali_gemma2_mix_3b_448", "pali_gemma2_pt_3b_448", "pali_gemma_2_ft_docci_3b_448"],
  [3_036_518_640, "pali_gemma2_pt_3b_896"],
  [9_662_409_456, "pali_gemma2_mix_10b_224", "pali_gemma2_pt_10b_224"],
  [9_663_294_192, "pali_gemma2_mix_10b_448", "pali_gemma2_pt_10b_448", "pali_gemma2_ft_docci_10b_448"],
  [9_666_833_136, "pali_gemma2_pt_10b_896"],
  // KerasHub's table repeats the first of these for 448 and 896 pixels; position embeddings add the rest.
  [27_650_192_112, "pali_gemma2_mix_28b_224", "pali_gemma2_pt_28b_224"],
  [27_651_076_848, "pali_gemma2_mix_28b_448", "pali_gemma2_pt_28b_448"],
  [27_654_615_792, "pali_gemma2_pt_28b_896"],
];

Deno.test("every preset has the published number of parameters", () => {
  for (const [count, ...names] of published) {
    for (const name of names) {
      const { variables } = buildPreset(name).backbone;
      assert.equal(countParameters(variables).total, count, name);
    }
  }
  assert.deepEqual(published.flatMap(([, ...names]) => names).sort(), Object.keys(presets).sort());
});

Deno.test("every preset names a repository of its own", () => {
  const repositories = Object.values(presets).map(({ repository }) => repository);
  for (const repository of repositories) assert.match(repository, /^[\w.-]+\/[\w.-]+$/);
  assert.equal(new Set(repositories).size, repositories.length);
});

Deno.test("buildPreset() makes a model without values in the dtype asked for", () => {
  const { backbone, text } = buildPreset("gemma2_27b_en", { dtype: "bfloat16" });
  assert.equal(backbone.numLayers, 46);
  assert.equal(text.contextLength, 8192);
  assert(backbone.variables.every(({ value, dtype }) => value === null && dtype === "bfloat16"));
  assert.equal(buildPreset("llama3_8b_en").text.contextLength, 8192);
  assert.equal(buildPreset("llama3.3_instruct_70b").text.contextLength, 131_072);
});

Deno.test("presetOf() finds the preset of a handle's repository", () => {
  assert.equal(presetOf("hf://meta-llama/Llama-3.2-1B"), presets["llama3.2_1b"]);
  assert.throws(() => presetOf("hf://owner/none"), {
    name: "RangeError",
    message: 'Cannot describe "hf://owner/none" without its files: no preset is of that repository',
  });
});

Deno.test("presetOf() rejects an unknown name, with the nearest or with all", () => {
  assert.throws(() => presetOf("gemma_2_9b_en"), {
    name: "RangeError",
    message: 'Cannot find the preset "gemma_2_9b_en"; did you mean "gemma2_9b_en"?',
  });
  assert.throws(
    () => presetOf("mistral"),
    /^RangeError: Cannot find the preset "mistral"; there are gemma_2b_en, .*gemma2_27b_en/,
  );
  assert.throws(() => presetOf("constructor"), RangeError);
});
