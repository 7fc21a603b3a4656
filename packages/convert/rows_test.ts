import assert from "node:assert/strict";
import { Variable, zeros } from "@tessera/nn";
import fc from "fast-check";
import { gemma2Rows, gemmaRows } from "./gemma.ts";
import { layerOf, mergedShape, moduleOf, pair, translate } from "./rows.ts";

const tables = { gemmaRows, gemma2Rows };

for (const [name, rows] of Object.entries(tables)) {
  Deno.test(`${name} leads from each variable to a tensor of its own, and back`, () => {
    fc.assert(
      fc.property(fc.constantFrom(...rows), fc.nat(200), ({ variable, tensor }, i) => {
        const [path, key] = [variable, tensor].map((each) => each.replace("{i}", String(i))) as [string, string];
        assert.equal(translate(rows, path, "variable")?.name, key);
        assert.equal(translate(rows, key, "tensor")?.name, path);
      }),
      { seed: 1 },
    );
    assert.equal(new Set(rows.map(({ tensor }) => tensor)).size, rows.length);
    assert.equal(new Set(rows.map(({ variable }) => variable)).size, rows.length);
  });
}

Deno.test("translate() takes names that are in the table as a whole only", () => {
  for (
    const name of [
      "model.norm.weight2",
      "xmodel.norm.weight",
      "model_norm.weight",
      "model.layers.x.mlp.up_proj.weight",
      "",
    ]
  ) {
    assert.equal(translate(gemma2Rows, name, "tensor"), null, name);
  }
  assert.equal(translate(gemma2Rows, "decoder_block_{i}/ffw_linear/kernel", "variable"), null);
});

Deno.test("Gemma 1 and Gemma 2 name the norm before the feed-forward layer differently", () => {
  const path = "decoder_block_7/pre_ffw_norm/scale";
  assert.equal(translate(gemmaRows, path, "variable")?.name, "model.layers.7.post_attention_layernorm.weight");
  assert.equal(translate(gemma2Rows, path, "variable")?.name, "model.layers.7.pre_feedforward_layernorm.weight");
});

Deno.test("moduleOf() and layerOf() lead from a layer to its module, and back", () => {
  for (const layer of ["attention/query", "attention/attention_output", "ffw_gating_2", "ffw_linear"]) {
    const path = `decoder_block_11/${layer}`;
    assert.equal(layerOf(gemma2Rows, moduleOf(gemma2Rows, path)!), path);
  }
  assert.equal(moduleOf(gemma2Rows, "decoder_block_0/ffw_gating"), "model.layers.0.mlp.gate_proj");
  assert.equal(moduleOf(gemma2Rows, "decoder_block_0/ffw"), null);
  assert.equal(layerOf(gemma2Rows, "model.layers.0.mlp"), null);
});

Deno.test("mergedShape() merges neighbours, and keeps the number of elements", () => {
  assert.deepEqual(mergedShape([4, 12, 32], [2, 1]), [48, 32]);
  assert.deepEqual(mergedShape([32, 4, 12], [1, 2]), [32, 48]);
  assert.deepEqual(mergedShape([7]), [7]);
});

Deno.test("pair() gives the shape in the file, and names a variable that the table forgot", () => {
  const make = (path: string, shape: number[], order?: number[]) =>
    new Variable(path, { shape, ...(order === undefined ? {} : { order }), initializer: zeros() });
  const query = make("decoder_block_3/attention/query/kernel", [4, 32, 12], [0, 2, 1]);
  assert.deepEqual(pair(gemma2Rows, [query]), [
    { variable: query, tensor: "model.layers.3.self_attn.q_proj.weight", shape: [48, 32] },
  ]);
  assert.throws(() => pair(gemma2Rows, [make("decoder_block_3/attention/bias", [4])]), {
    message: /variable "decoder_block_3\/attention\/bias": its architecture's table has no row/,
  });
});
