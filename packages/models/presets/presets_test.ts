import assert from "node:assert/strict";
import { countParameters } from "@tessera/nn";
import { buildPreset, presetOf, presets } from "./presets.ts";

Deno.test("every preset has the published number of parameters", () => {
  for (const [name, { parameters }] of Object.entries(presets)) {
    assert.equal(countParameters(buildPreset(name).backbone.variables).total, parameters, name);
  }
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
    () => presetOf("no such model"),
    /^RangeError: Cannot find the preset "no such model"; there are gemma_2b_en, .*gemma2_27b_en/,
  );
  assert.throws(() => presetOf("constructor"), RangeError);
});
