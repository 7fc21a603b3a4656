import assert from "node:assert/strict";
import { onnxBackend } from "@tessera/backend-onnx";
import { full, hostTensor, toFloat32 } from "@tessera/core";
import { applyDense, einsumDense } from "./dense.ts";
import { disposeValues, initialize } from "./initialize.ts";
import { heUniform, kaimingUniform, ones, randomNormal, randomUniform, zeros } from "./initializers.ts";
import { compileProgram } from "./compile_program.ts";
import { assign, traceProgram } from "./program.ts";
import { Scope } from "./scope.ts";
import { Variable } from "./variable.ts";

const backend = onnxBackend({ threads: 1 });
const float = (...shape: number[]) => ({ shape, dtype: "float32" as const });
const vector = (...values: number[]) => hostTensor("float32", [values.length], Float32Array.from(values));

function variable(path: string, ...values: number[]): Variable {
  const made = new Variable(path, { shape: [values.length], initializer: zeros() });
  made.value = backend.upload(vector(...values));
  return made;
}

async function valuesOf(made: Variable): Promise<number[]> {
  return [...toFloat32(await made.value!.read())];
}

Deno.test("a program reads variables, updates them in place, and returns its outputs by name", async () => {
  const [total, step] = [variable("total", 1, 2), variable("step", 10, 20)];
  const { value } = total;
  const traced = traceProgram("add", { x: float(2) }, ({ x }) => {
    const next = total.raw().add(step.raw().mul(x));
    assign(total, next);
    return { sum: next.sum() };
  });
  assert.deepEqual(traced.variables.map(({ path }) => path), ["total", "step"]);
  assert.deepEqual(traced.updated.map(({ path }) => path), ["total"]);
  const program = await compileProgram(traced, backend);
  for (const expected of [[11, 2], [21, 2]]) {
    const { sum } = await program.run({ x: vector(1, 0) }) as { sum: NonNullable<Variable["value"]> };
    assert.deepEqual([...toFloat32(await sum.read())], [expected[0]! + expected[1]!]);
    assert.deepEqual(await valuesOf(total), expected);
    sum.dispose();
  }
  assert.equal(total.value, value, "the buffer stays the same one");
  assert.deepEqual(await valuesOf(step), [10, 20]);
  program.dispose();
  disposeValues([total, step]);
});

Deno.test("two programs share a variable, and one sees what the other wrote", async () => {
  const shared = variable("shared", 1);
  const write = await compileProgram(
    traceProgram("write", {}, () => {
      assign(shared, shared.raw().add(full([1], 1)));
      return {};
    }),
    backend,
  );
  const read = await compileProgram(traceProgram("read", {}, () => ({ value: shared.raw().mul(2) })), backend);
  await write.run({});
  await write.run({});
  const { value } = await read.run({}) as { value: NonNullable<Variable["value"]> };
  assert.deepEqual([...toFloat32(await value.read())], [6]);
  [value, write, read].forEach((each) => each.dispose());
  disposeValues([shared]);
});

Deno.test("run() names an input that is missing, unknown or of another type, and a variable without a value", async () => {
  const empty = new Variable("norm/scale", { shape: [2], initializer: zeros() });
  const program = await compileProgram(
    traceProgram("scale", { x: float(2) }, ({ x }) => ({ y: x.mul(empty.raw()) })),
    backend,
  );
  await assert.rejects(program.run({}), { name: "TypeError", message: 'Cannot run "scale": input "x" is missing' });
  await assert.rejects(program.run({ x: vector(1, 2), z: vector(1) }), {
    name: "TypeError",
    message: 'Cannot run "scale": it has no input "z"; its inputs are x',
  });
  await assert.rejects(program.run({ x: vector(1, 2) }), {
    name: "TypeError",
    message: 'Cannot run "scale": variable "norm/scale" has no value; load or initialize it first',
  });
  empty.value = backend.zeros(empty.stored);
  await assert.rejects(program.run({ x: vector(1, 2, 3) }), {
    name: "TypeError",
    message: /input "x" needs float32\[2\]/,
  });
  program.dispose();
  disposeValues([empty]);
});

Deno.test("assign() rejects another type, a second time, and a place outside of a program", () => {
  const target = new Variable("w", { shape: [2, 3], order: [1, 0], initializer: zeros() });
  const body = (update: () => void) => () => traceProgram("update", {}, () => (update(), {}));
  assert.throws(body(() => assign(target, full([2, 3], 0))), {
    name: "TypeError",
    message: /variable "w": it is stored as float32\[3,2\]/,
  });
  assert.throws(
    body(() => {
      assign(target, full([3, 2], 0));
      assign(target, full([3, 2], 1));
    }),
    { name: "TypeError", message: 'Cannot assign to variable "w" twice in one program' },
  );
  assert.throws(() => target.raw(), { name: "TypeError", message: /variable "w": no program is being traced/ });
});

Deno.test("traceProgram() that throws leaves no program being traced", () => {
  const target = new Variable("w", { shape: [2], initializer: zeros() });
  assert.throws(() =>
    traceProgram("broken", {}, () => {
      throw new Error("stop");
    }), { message: "stop" });
  assert.throws(() => target.raw(), /no program is being traced/);
});

Deno.test("a dense layer multiplies in the order of its equation, whatever the order in which its kernel is stored", async () => {
  const outputs: number[][] = [];
  for (const order of [[0, 1], [1, 0]]) {
    const scope = new Scope();
    const layer = einsumDense(scope, "up", {
      equation: "bd,df->bf",
      shape: [2, 3],
      order,
      dtype: "float32",
      initializer: zeros(),
    });
    const stored = order[0] === 0 ? [1, 2, 3, 4, 5, 6] : [1, 4, 2, 5, 3, 6];
    layer.kernel.value = backend.upload(hostTensor("float32", layer.kernel.stored.shape, Float32Array.from(stored)));
    const program = await compileProgram(
      traceProgram("dense", { x: float(1, 2) }, ({ x }) => ({ y: applyDense(layer, x) })),
      backend,
    );
    const { y } = await program.run({ x: hostTensor("float32", [1, 2], Float32Array.of(1, 10)) }) as {
      y: NonNullable<Variable["value"]>;
    };
    outputs.push([...toFloat32(await y.read())]);
    [y, program].forEach((each) => each.dispose());
    disposeValues([layer.kernel]);
  }
  assert.deepEqual(outputs, [[41, 52, 63], [41, 52, 63]]);
});

Deno.test("initialize() gives values that follow from seed and path, and leaves those that are there", async () => {
  const make = (path: string) => new Variable(path, { shape: [50], initializer: randomNormal(1) });
  const draw = async (path: string, seed: number) => {
    const made = make(path);
    initialize([make("another"), made], backend, { seed });
    const values = await valuesOf(made);
    initialize([made], backend, { seed: seed + 1 });
    assert.deepEqual(await valuesOf(made), values);
    return values;
  };
  const first = await draw("a", 1);
  assert.deepEqual(await draw("a", 1), first);
  assert.notDeepEqual(await draw("b", 1), first);
  assert.notDeepEqual(await draw("a", 2), first);
});

Deno.test("initialize() rejects a seed that is none, and integers", () => {
  const made = new Variable("ids", { shape: [2], dtype: "int32", initializer: zeros() });
  assert.throws(() => initialize([made], backend, { seed: 1 }), {
    name: "TypeError",
    message: /Cannot initialize ids int32/,
  });
  for (const seed of [-1, 0.5, NaN]) assert.throws(() => initialize([], backend, { seed }), { name: "RangeError" });
});

Deno.test("initializers keep to their bounds and deviations", () => {
  const draw = (initializer: ReturnType<typeof zeros>) => [...initializer([100, 100], [1, 2])];
  const deviation = (values: number[]) =>
    Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
  assert(draw(zeros()).every((value) => value === 0));
  assert(draw(ones()).every((value) => value === 1));
  assert(Math.abs(deviation(draw(randomNormal(0.02))) - 0.02) < 0.001);
  for (
    const [initializer, bound] of [[randomUniform(3), 3], [heUniform(24), 0.5], [kaimingUniform(16), 0.25]] as const
  ) {
    const values = draw(initializer);
    assert(values.every((value) => Math.abs(value) <= bound), `bound ${bound}`);
    assert(Math.max(...values) > 0.95 * bound && Math.min(...values) < -0.95 * bound);
    assert(Math.abs(deviation(values) - bound / Math.sqrt(3)) < 0.02 * bound);
  }
});
