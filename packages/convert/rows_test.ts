import assert from "node:assert/strict";
import { Variable, zeros } from "@tessera/nn";
import { layersOf, mergedShape, moduleOf, pair, type TensorRow } from "./rows.ts";

const rows: readonly TensorRow[] = [
  {
    variable: "decoder_block_3/attention/query/kernel",
    tensor: "model.layers.3.self_attn.q_proj.weight",
    merge: [2, 1],
  },
  { variable: "decoder_block_3/attention/query/bias", tensor: "model.layers.3.self_attn.q_proj.bias", merge: [2] },
  { variable: "decoder_block_3/pre_ffw_norm/scale", tensor: "model.layers.3.pre_feedforward_layernorm.weight" },
];

Deno.test("moduleOf() and layersOf() lead from a layer to its module, and back", () => {
  const [path, module] = ["decoder_block_3/attention/query", "model.layers.3.self_attn.q_proj"];
  assert.equal(moduleOf(rows, path), module);
  assert.deepEqual(layersOf(rows, module), [path]);
  assert.equal(moduleOf(rows, "decoder_block_3/attention"), null);
  assert.deepEqual(layersOf(rows, "model.layers.3.self_attn"), []);
  // A norm is no layer that an adapter could be attached to.
  assert.deepEqual(layersOf(rows, "model.layers.3.pre_feedforward_layernorm"), []);
});

Deno.test("mergedShape() merges neighbors, and keeps the number of elements", () => {
  assert.deepEqual(mergedShape([4, 12, 32], [2, 1]), [48, 32]);
  assert.deepEqual(mergedShape([32, 4, 12], [1, 2]), [32, 48]);
  assert.deepEqual(mergedShape([7]), [7]);
});

Deno.test("pair() gives the shape in the file, and names a variable that has no row", () => {
  const make = (path: string, shape: number[], order?: number[]) =>
    new Variable(path, { shape, ...(order === undefined ? {} : { order }), initializer: zeros() });
  const query = make("decoder_block_3/attention/query/kernel", [4, 32, 12], [0, 2, 1]);
  assert.deepEqual(pair(rows, [query]), [
    { variable: query, tensor: "model.layers.3.self_attn.q_proj.weight", shape: [48, 32], part: null },
  ]);
  assert.throws(() => pair(rows, [make("decoder_block_3/attention/bias", [4])]), {
    message: /variable "decoder_block_3\/attention\/bias": its architecture has no row/,
  });
});
