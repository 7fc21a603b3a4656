import assert from "node:assert/strict";
import { pair } from "@tessera/convert";
import { dtypePolicy } from "@tessera/nn";
import { ModelScope } from "./model_scope.ts";

/** A block whose query, key and value are one tensor of 8 heads of 3 elements over 5 inputs. */
function fusedBlock(bias?: boolean) {
  const scope = new ModelScope(dtypePolicy("float32"));
  const heads = (count: number) => ({
    equation: "btd,dnh->btnh",
    shape: [5, count, 3],
    layout: ["batch", "model", null] as const,
    ...(bias === undefined ? {} : { bias }),
  });
  const [layers] = scope.blocks(
    "block",
    "model.layers",
    1,
    (block) =>
      block.scope("attention", "self_attn").fused("qkv_proj", { query: heads(4), key: heads(2), value: heads(2) }),
  );
  return { scope, layers: layers! };
}

Deno.test("fused() declares layers by themselves whose kernels and biases are parts of one tensor", () => {
  const { scope, layers } = fusedBlock(true);
  const { variables } = scope.registry;
  assert.deepEqual(variables.map(({ path, shape }) => [path, shape]), [
    ["block_0/attention/query/kernel", [5, 4, 3]],
    ["block_0/attention/query/bias", [4, 3]],
    ["block_0/attention/key/kernel", [5, 2, 3]],
    ["block_0/attention/key/bias", [2, 3]],
    ["block_0/attention/value/kernel", [5, 2, 3]],
    ["block_0/attention/value/bias", [2, 3]],
  ]);
  const module = "model.layers.0.self_attn.qkv_proj";
  const parts = [[0, 12], [12, 18], [18, 24]].map((rows) => ({ rows, of: 24 }));
  assert.deepEqual(
    pair(scope.declared.rows, variables).map(({ tensor, shape, part }) => [tensor, shape, part]),
    parts.flatMap((part) => [[`${module}.weight`, [24, 5], part], [`${module}.bias`, [24], part]]),
  );
  assert.deepEqual(Object.values(layers).map(({ fused }) => fused), new Array(3).fill("block_0/attention/qkv_proj"));
});

Deno.test("fused() lays each layer out by its own axes", () => {
  const { scope } = fusedBlock();
  const rule = { roles: ["batch", "model", null], isUsed: true };
  assert.deepEqual(
    Object.fromEntries(scope.declared.layouts),
    Object.fromEntries(["query", "key", "value"].map((name) => [`block_\\d+/attention/${name}/kernel`, rule])),
  );
});

Deno.test("ignore() names the tensors of a module of the scope, and of no other", () => {
  const scope = new ModelScope(dtypePolicy("float32"));
  scope.layers("block", "model.layers", 2, (block, i) => {
    if (i === 1) block.ignore("self_attn.k_proj");
  });
  const isIgnored = (name: string) => scope.declared.ignored.some((pattern) => pattern.test(name));
  assert(isIgnored("model.layers.1.self_attn.k_proj.weight"));
  for (const name of ["model.layers.0.self_attn.k_proj.weight", "model.layers.1.self_attn.k_proj2.weight"]) {
    assert(!isIgnored(name), name);
  }
});
