import assert from "node:assert/strict";
import { patternFault, patternOf, valueFor } from "./peft_patterns.ts";
import { targetFault } from "./peft_targets.ts";
import { peftFields } from "./peft_fields.ts";

const query = "model.layers.3.self_attn.q_proj";

Deno.test("a pattern matches a whole module or a whole end of it, and the first that does counts", () => {
  for (
    const [pattern, matches] of [
      ["q_proj", true],
      ["self_attn.q_proj", true],
      ["proj", false],
      ["attn.q_proj", false],
      ["model.layers.3", false],
      ["^self_attn.q_proj", false],
      [patternOf(query), true],
      [patternOf("layers.3.self_attn.q_proj"), false],
      ["layers\\.[0-3]\\..*", true],
      ["layers\\.[4-9]\\..*", false],
      ["k_proj|q_proj", true],
    ] as const
  ) {
    assert.equal(patternFault(pattern), null, pattern);
    assert.equal(valueFor(query, [[pattern, 4]], 2), matches ? 4 : 2, pattern);
  }
  assert.equal(valueFor(query, [["k_proj", 3], ["q_proj", 5], [".*", 7]], 2), 5);
});

Deno.test("patterns that could take long, or that Python reads in another way, are refused before they are tried", () => {
  for (
    const pattern of [
      "(a+)+",
      "(.*){9}",
      ".*.*.*.*x",
      ".?.?.?.?x",
      "(.|.)(.|.)(.|.)(.|.)x",
      "(a)\\1",
      "\\Aq_proj",
      "(?P<name>q)_proj",
      "q_proj{,3}",
      "[q",
    ]
  ) {
    assert.notEqual(patternFault(pattern), null, pattern);
  }
});

Deno.test("targets mean the modules that PEFT takes them for", () => {
  const none = { targetModules: null, excludeModules: null, layers: null, layersPattern: null };
  for (
    const [targets, isAdapted] of [
      [{}, true],
      [{ targetModules: "all-linear" }, true],
      [{ targetModules: "All-Linear" }, true],
      [{ targetModules: ["q_proj"] }, true],
      [{ targetModules: [query] }, true],
      [{ targetModules: ["roj"] }, false],
      [{ targetModules: [] }, false],
      [{ targetModules: ".*q_proj" }, true],
      [{ targetModules: "q_proj" }, false],
      [{ targetModules: "(.+)+x" }, true],
      [{ excludeModules: "(.+)+x" }, true],
      [{ excludeModules: ["self_attn.q_proj"] }, false],
      [{ targetModules: ["q_proj"], layers: [3] }, true],
      [{ targetModules: ["q_proj"], layers: [2] }, false],
      [{ targetModules: [query], layers: [2] }, true],
      [{ targetModules: ["q_proj"], layers: [3], layersPattern: ["h", "layers"] }, true],
      [{ targetModules: ["q_proj"], layers: [3], layersPattern: ["h"] }, false],
    ] as const
  ) {
    assert.equal(targetFault(query, { ...none, ...targets }) === null, isAdapted, JSON.stringify(targets));
  }
});

Deno.test("the table has every field that PEFT 0.21.2 writes", async () => {
  const file = new URL("../../test/goldens/peft/query_value/adapter/adapter_config.json", import.meta.url);
  const written = Object.keys(JSON.parse(await Deno.readTextFile(file)));
  assert.equal(written.length, 41);
  assert.deepEqual(written.filter((name) => !(name in peftFields)), []);
});
