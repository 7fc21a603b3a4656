import assert from "node:assert/strict";
import { onnxBackend } from "@tessera/backend-onnx";
import { hostTensor, toFloat32 } from "@tessera/core";
import { contract, einsumDense, lookup } from "./dense.ts";
import { disposeValues, initialize } from "./initialize.ts";
import { randomNormal } from "./initializers.ts";
import { compileProgram } from "./compile_program.ts";
import { traceProgram } from "./program.ts";
import { loadQuantized, quantizeVariables } from "./quantization.ts";
import { Scope } from "./scope.ts";
import { Variable } from "./variable.ts";

const backend = onnxBackend({ threads: 1 });
const initializer = randomNormal(1);

function table(summed: readonly number[], shape = [6, 64]): Variable {
  return new Variable("table", { shape, summed, initializer });
}

Deno.test("quantizeVariables() takes the kernels of dense layers and what says what is summed over, and leaves the rest", () => {
  const scope = new Scope();
  const { kernel } = einsumDense(scope, "query", {
    equation: "btd,ndh->btnh",
    shape: [4, 64, 8],
    order: [0, 2, 1],
    dtype: "float32",
    initializer,
  });
  const others = [
    scope.variable("norm", { shape: [64], initializer }),
    scope.variable("summed axis not last", { shape: [64, 6], summed: [0], initializer }),
    scope.variable("integers", { shape: [6, 64], summed: [1], dtype: "int32", initializer }),
  ];
  quantizeVariables([kernel, ...others], "int8");
  assert.deepEqual([kernel.shape, kernel.storedShape], [[4, 64, 8], [4, 8, 64]]);
  assert.deepEqual(kernel.stored, { shape: [4, 8, 64], dtype: "uint8" });
  const { scale, bits, run } = kernel.quantization!;
  assert.deepEqual([bits, run, scale.path, scale.stored], [8, 64, "query/kernel_scale", {
    shape: [4, 8, 1],
    dtype: "float32",
  }]);
  assert.deepEqual(others.map(({ quantization }) => quantization), [null, null, null]);
});

Deno.test("quantizeVariables() in int4 shares scales among 32 inputs, or as many as divide, and needs an even number", () => {
  const scaleOf = (width: number) => {
    const variable = table([1], [6, width]);
    quantizeVariables([variable], "int4");
    return variable.quantization?.scale.shape ?? null;
  };
  assert.deepEqual([64, 12, 40, 7].map(scaleOf), [[6, 2], [6, 1], [6, 2], null]);
  const variable = table([1]);
  quantizeVariables([variable], "int4");
  assert.deepEqual(variable.stored, { shape: [6, 32], dtype: "uint8" });
  assert.equal(variable.bytes, 6 * 32 + 6 * 2 * 4);
});

Deno.test("quantizeVariables() in int4 stores in int8 what needs more bits", () => {
  const variable = new Variable("table", { shape: [6, 64], summed: [1], fewestBits: 8, initializer });
  quantizeVariables([variable], "int4");
  const { name, bits, scale } = variable.quantization!;
  assert.deepEqual([name, bits, scale.shape], ["int8", 8, [6, 1]]);
});

Deno.test("a quantized variable is never trainable, and cannot be quantized once it has a value", () => {
  const variable = table([1]);
  initialize([variable], backend, { seed: 1 });
  assert.throws(() => quantizeVariables([variable], "int8"), { name: "TypeError", message: /has a value already/ });
  disposeValues([variable]);
  quantizeVariables([variable], "int8");
  variable.trainable = true;
  assert.equal(variable.trainable, false);
});

for (const name of ["int8", "int4"] as const) {
  Deno.test(`contract() and lookup() on ${name} are those of what the variable reads as`, async () => {
    const variable = table([1]);
    quantizeVariables([variable], name);
    initialize([variable], backend, { seed: 3 });
    const types = { x: { shape: [2, 64], dtype: "float32" }, ids: { shape: [3], dtype: "int32" } } as const;
    const program = await compileProgram(
      traceProgram("both", types, ({ x, ids }) => {
        const y = contract("td,vd->tv", x, variable);
        return { y, rows: lookup(variable, ids, "float32"), all: variable.read() };
      }),
      backend,
    );
    const x = hostTensor("float32", [2, 64], Float32Array.from({ length: 128 }, (_, i) => Math.sin(i * i)));
    const found = await program.run({ x, ids: hostTensor("int32", [3], Int32Array.of(5, 0, 5)) });
    const [y, rows, all] = await Promise.all(
      [found.y!, found.rows!, found.all!].map(async (b) => toFloat32(await b.read())),
    );
    const row = (i: number) => [...all!.subarray(64 * i, 64 * i + 64)];
    assert.deepEqual([...rows!], [...row(5), ...row(0), ...row(5)]);
    for (let t = 0; t < 2; t++) {
      const own = x.data.subarray(64 * t, 64 * t + 64);
      for (let v = 0; v < 6; v++) {
        const expected = row(v).reduce((sum, weight, i) => sum + weight * own[i]!, 0);
        const size = Math.sqrt(row(v).reduce((sum, weight, i) => sum + (weight * own[i]!) ** 2, 0));
        // The input may be rounded to 8 bits.
        assert.ok(Math.abs(y![6 * t + v]! - expected) < 0.02 * size, `${y![6 * t + v]} for ${expected}`);
      }
    }
    Object.values(found).forEach((buffer) => buffer.dispose());
    program.dispose();
    disposeValues([variable]);
    assert.deepEqual([variable.value, variable.quantization!.scale.value], [null, null]);
  });
}

Deno.test("loadQuantized() rounds half-width elements a piece at a time, to what whole ones give", async () => {
  const size = 3 << 19;
  const wide = table([1], [3, 1 << 19]);
  quantizeVariables([wide], "int4");
  const bits = Uint16Array.from({ length: size }, (_, i) => 0x3f00 + i % 97);
  const elements = hostTensor("bfloat16", [3, 1 << 19], bits);
  let turns = 0;
  const timer = setInterval(() => turns++);
  await loadQuantized(wide, elements, backend);
  clearInterval(timer);
  assert.ok(turns > 0, "the event loop must run in between");
  const narrow = table([1], [1, 1 << 19]);
  quantizeVariables([narrow], "int4");
  await loadQuantized(narrow, hostTensor("bfloat16", [1, 1 << 19], bits.subarray(1 << 20)), backend);
  const [all, last] = await Promise.all([wide, narrow].map(async ({ value }) => (await value!.read()).data));
  assert.deepEqual(all!.subarray(1 << 19), last);
  disposeValues([wide, narrow]);
});
