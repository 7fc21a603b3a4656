import assert from "node:assert/strict";
import { einsumDense } from "./dense.ts";
import { zeros } from "./initializers.ts";
import { dtypePolicy, type DTypePolicyName } from "./policy.ts";
import { modelVariables, Scope } from "./scope.ts";
import { countParameters, formatSummary } from "./summary.ts";
import { Variable } from "./variable.ts";

const initializer = zeros();

Deno.test("a variable has a logical shape, and stores its axes in another order", () => {
  const kernel = new Variable("query/kernel", { shape: [8, 64, 16], order: [0, 2, 1], dtype: "bfloat16", initializer });
  assert.deepEqual(kernel.stored, { shape: [8, 16, 64], dtype: "bfloat16" });
  assert.equal(kernel.size, 8192);
  assert.equal(kernel.trainable, true);
  assert.equal(String(kernel), "query/kernel bfloat16[8,64,16]");
});

Deno.test("scopes nest as paths do, and share what was made", () => {
  const root = new Scope();
  const inner = root.scope("block_0").scope("norm");
  assert.equal(inner.variable("scale", { shape: [4], initializer }).path, "block_0/norm/scale");
  root.variable("head", { shape: [4], initializer });
  assert.deepEqual(root.registry.variables.map(({ path }) => path), ["block_0/norm/scale", "head"]);
  assert.equal(inner.registry, root.registry);
});

Deno.test("variable() rejects a path that is taken", () => {
  const scope = new Scope().scope("norm");
  scope.variable("scale", { shape: [4], initializer });
  assert.throws(() => scope.variable("scale", { shape: [4], initializer }), {
    name: "TypeError",
    message: 'Cannot make variable "norm/scale": there is one of that path already',
  });
});

Deno.test("modelVariables() lists an adapter's variables after the kernel that it adapts", () => {
  const scope = new Scope();
  const spec = { equation: "btd,df->btf", shape: [4, 6], dtype: "float32", initializer } as const;
  const [up] = [einsumDense(scope, "up", spec), einsumDense(scope, "down", spec)];
  const extra = new Variable("up/a", { shape: [1], initializer });
  up!.adapter = { variables: [extra], apply: (x) => x };
  assert.deepEqual(modelVariables(scope.registry).map(({ path }) => path), ["up/kernel", "up/a", "down/kernel"]);
});

Deno.test("einsumDense() rejects an equation that is none", () => {
  const spec = { equation: "btd,df", shape: [4, 6], dtype: "float32", initializer } as const;
  assert.throws(() => einsumDense(new Scope(), "up", spec), /btd,df/);
});

Deno.test("dtypePolicy() finds policies by name, and lists them for a name that is none", () => {
  assert.deepEqual(dtypePolicy("mixed_bfloat16"), { variable: "float32", compute: "bfloat16" });
  const own = { variable: "float16", compute: "float32" } as const;
  assert.equal(dtypePolicy(own), own);
  for (const name of ["bf16", "toString"]) {
    assert.throws(() => dtypePolicy(name as DTypePolicyName), {
      name: "RangeError",
      message: new RegExp(`policy "${name}".*float32, bfloat16, float16, mixed_bfloat16, mixed_float16$`),
    });
  }
});

Deno.test("formatSummary() shows like variables of all blocks in one line, and what differs in lines of their own", () => {
  const variable = (path: string, shape: number[], trainable = false) =>
    new Variable(path, { shape, initializer, trainable });
  const variables = [
    variable("embedding", [100, 8]),
    ...[0, 1, 2].flatMap((i) => [
      variable(`block_${i}/kernel`, i === 2 ? [8, 9] : [8, 8]),
      ...(i === 1 ? [variable("block_1/lora", [8, 2], true)] : []),
    ]),
    variable("norm", [8]),
  ];
  assert.deepEqual(countParameters(variables), { total: 1024, trainable: 16, bytes: 4096 });
  assert.equal(
    formatSummary("tiny", variables),
    [
      'Model: "tiny"',
      "Variable     Type            Parameters  Train",
      "──────────────────────────────────────────────",
      "embedding    float32[100,8]         800  no",
      "block_* × 3                         216",
      " kernel × 2  float32[8,8]           128  no",
      " lora × 1    float32[8,2]            16  yes",
      " kernel × 1  float32[8,9]            72  no",
      "norm         float32[8]               8  no",
      " Total params: 1,024 (4.00 KiB)",
      " Trainable params: 16 (64 B)",
      " Non-trainable params: 1,008 (3.94 KiB)",
    ].join("\n"),
  );
});

Deno.test("formatSummary() keeps to the width that it is given", () => {
  const long = new Variable("encoder/tower/some_very_long_name_of_a_layer/kernel", {
    shape: [1000, 1000],
    initializer,
  });
  for (const line of formatSummary("tiny", [long], { width: 60 }).split("\n")) assert(line.length <= 60, line);
});
