import assert from "node:assert/strict";
import { DeviceMesh, virtualDevices } from "./device_mesh.ts";
import { LayoutMap } from "./layout_map.ts";
import { TensorLayout } from "./tensor_layout.ts";

const mesh = new DeviceMesh([2, 8], ["batch", "model"], virtualDevices(16));
const query = "decoder_block.*attention.*(query|key|value).kernel";

/** The kernels of Gemma 2 2B's first block: 8 query heads and 4 key/value heads. */
const variables = [
  { path: "token_embedding/embeddings", shape: [256000, 2304] },
  { path: "decoder_block_0/attention/query/kernel", shape: [8, 2304, 256] },
  { path: "decoder_block_0/attention/key/kernel", shape: [4, 2304, 256] },
  { path: "decoder_block_0/attention/value/kernel", shape: [4, 2304, 256] },
  { path: "decoder_block_0/ffw_gating/kernel", shape: [2304, 9216] },
  { path: "final_normalization/scale", shape: [2304] },
];

Deno.test("get() takes the exact key before one that matches", () => {
  const map = new LayoutMap(mesh).set(".*kernel", ["model"]).set("decoder_block_0/ffw_gating/kernel", [null, "model"]);
  assert.deepEqual(map.get("decoder_block_0/ffw_gating/kernel")!.dims, [[], ["model"]]);
  assert.deepEqual(map.get("decoder_block_1/ffw_gating/kernel")!.dims, [["model"]]);
});

Deno.test("get() matches whole paths only, alternatives included", () => {
  const map = new LayoutMap(mesh).set("query|key", ["model"]).set(/VALUE/i, [null, "model"]);
  assert(map.has("query") && map.has("key") && map.has("value"));
  assert.equal(map.get("query/kernel"), undefined);
  assert.equal(map.get("a/key"), undefined);
});

Deno.test("get() keeps no state between lookups when an expression is global or sticky", () => {
  const map = new LayoutMap(mesh).set(/a.*/gy, ["model"]);
  assert(map.has("abc") && map.has("abc"));
});

Deno.test("get() rejects a path that two keys match, and names both", () => {
  const map = new LayoutMap(mesh).set(query, ["model"]).set(/.*key.*/, [null]);
  assert.throws(() => map.get("decoder_block_0/attention/key/kernel"), {
    message: 'Cannot look up the layout of "decoder_block_0/attention/key/kernel": at most one key may match, found ' +
      `"${query}" and /.*key.*/`,
  });
});

Deno.test("has() and get() tell the truth about paths that nothing matches", () => {
  const map = new LayoutMap(mesh).set(query, ["model", "batch", null]);
  assert.equal(map.has("anything"), false);
  assert.equal(map.get("anything"), undefined);
  assert.equal(map.has("decoder_block_7/attention/value/kernel"), true);
});

Deno.test("set() rejects a key that is there, until it is deleted", () => {
  const map = new LayoutMap(mesh).set("a/kernel", ["model"]).set(/b/, ["model"]);
  assert.throws(() => map.set("a/kernel", [null]), /"a\/kernel": it is set to PartitionSpec\('model',\) already/);
  assert.throws(() => map.set(/b/, [null]), TypeError);
  assert.equal(map.delete("a/kernel"), true);
  assert.equal(map.delete("a/kernel"), false);
  assert.equal(map.delete(/b/), true);
  map.set("a/kernel", [null]);
  assert.equal(map.size, 1);
});

Deno.test("set() rejects what is not a regular expression at once", () => {
  const map = new LayoutMap(mesh);
  assert.throws(() => map.set("decoder_block.*(query", [null]), {
    name: "SyntaxError",
    message: /^Cannot use "decoder_block\.\*\(query" as a layout key: not a regular expression, unterminated group$/,
  });
  assert.throws(() => map.set("a)|(b", [null]), SyntaxError);
});

Deno.test("set() does not compile with a misspelled axis, and rejects it when it runs", () => {
  const map = new LayoutMap(mesh);
  // @ts-expect-error the mesh has no such axis
  assert.throws(() => map.set("a", ["modle"]), /did you mean "model"\?/);
  // @ts-expect-error nor within a list of axes
  assert.throws(() => map.set("a", [["batch", "modle"]]), /did you mean "model"\?/);
});

Deno.test("set() rejects a layout on another mesh", () => {
  const other = new DeviceMesh([2, 8], ["batch", "model"], virtualDevices(16));
  assert.throws(() => new LayoutMap(mesh).set("a", new TensorLayout(["model"], other)), /on another mesh/);
});

Deno.test("iteration is in the order in which keys were set", () => {
  const map = new LayoutMap(mesh).set("b", ["model"]).set(/a/, [null]).set("c", []);
  assert.deepEqual([...map.keys()], ["b", /a/, "c"]);
  assert.deepEqual([...map].map(([key, { dims }]) => [key, dims.length]), [["b", 1], [/a/, 1], ["c", 0]]);
});

Deno.test("explain() says which key matches each path and which keys match none", () => {
  const map = new LayoutMap(mesh)
    .set(query, ["model", "batch", null])
    .set("decoder_block.*ffw_gatting.kernel", ["batch", "model"]);
  const table = map.explain(variables.map(({ path }) => path));
  assert.deepEqual(table.rows.map(({ key }) => key), [null, query, query, query, null, null]);
  assert.deepEqual(table.unmatched, [
    { key: "decoder_block.*ffw_gatting.kernel", nearest: "decoder_block_0/ffw_gating/kernel" },
  ]);
  assert.deepEqual(String(table).split("\n").slice(4), [
    `decoder_block_0/ffw_gating/kernel       (no key)${" ".repeat(42)}  replicated`,
    `final_normalization/scale               (no key)${" ".repeat(42)}  replicated`,
    '"decoder_block.*ffw_gatting.kernel" matches nothing; the nearest is "decoder_block_0/ffw_gating/kernel"',
  ]);
});

Deno.test("explain() does not call a key unmatched whose every path has an exact key", () => {
  const map = new LayoutMap(mesh).set("a/.*", ["model"]).set("a/kernel", [null]);
  assert.deepEqual(map.explain(["a/kernel"]).unmatched, []);
});

Deno.test("check() rejects a key that matches nothing, and names the nearest path", () => {
  const map = new LayoutMap(mesh).set("decoder_block.*atention.*(query|key|value)/kernel", [null]);
  assert.throws(() => map.check(variables), {
    name: "TypeError",
    message: 'Cannot use layout key "decoder_block.*atention.*(query|key|value)/kernel": it matches none of the 6 ' +
      'variables; the nearest is "decoder_block_0/attention/query/kernel"',
  });
});

Deno.test("check() lets an optional key match nothing", () => {
  const map = new LayoutMap(mesh).set("decoder_block.*router.kernel", [null], { optional: true });
  map.check(variables);
});

Deno.test("check() looks for the keys of activations among activations", () => {
  const map = new LayoutMap(mesh).set("decoder_blok_.*/output", ["batch", null, "model"]);
  map.check(variables);
  map.check(variables, { activations: ["decoder_blok_0/output"] });
  assert.throws(
    () => map.check(variables, { activations: ["decoder_block_0/output"] }),
    /none of the 6 variables and 1 activations; the nearest is "decoder_block_0\/output"/,
  );
});

Deno.test("check() rejects key/value heads that do not divide, with path, axis and sizes", () => {
  const map = new LayoutMap(mesh).set(query, ["model", "batch", null]);
  const message =
    'Cannot shard "decoder_block_0/attention/key/kernel" axis 0 (4 heads) over mesh axis "model" (8): 4 is not divisible by 8';
  assert.throws(() => map.check(variables), { name: "RangeError", message });
  map.check(variables, { kvHeads: "replicate" });
});

Deno.test("check() names the length where it does not know what an axis counts", () => {
  const map = new LayoutMap(mesh).set("router/kernel", [["batch", "model"]]);
  assert.throws(() => map.check([{ path: "router/kernel", shape: [24, 3] }]), {
    message: 'Cannot shard "router/kernel" axis 0 (length 24) over mesh axes "batch" (2) and "model" (8): ' +
      "24 is not divisible by 16",
  });
  assert.throws(
    () => map.check([{ path: "router/kernel", shape: [24, 3], axes: ["experts", "inputs"] }]),
    /axis 0 \(24 experts\)/,
  );
});

Deno.test("check() replicates only key/value heads where only those may be", () => {
  const map = new LayoutMap(mesh).set(".*", ["model"]);
  const odd = [{ path: "decoder_block_0/attention/query/kernel", shape: [4, 8, 8] }];
  assert.throws(() => map.check(odd, { kvHeads: "replicate" }), /query\/kernel" axis 0 \(4 heads\)/);
  map.check(odd, { indivisible: "replicate" });
  assert.throws(
    () =>
      map.check([{ path: "decoder_block_0/attention/key/kernel", shape: [4, 8, 8] }], {
        kvHeads: "error",
        indivisible: "replicate",
      }),
    RangeError,
  );
});

Deno.test("check() rejects a layout that is longer than the shape", () => {
  const map = new LayoutMap(mesh).set("final_normalization/scale", [null, "model"]);
  assert.throws(
    () => map.check(variables),
    /"final_normalization\/scale" \[2304\] as PartitionSpec\(None, 'model'\): the layout has 2 entries for 1 axis/,
  );
});
