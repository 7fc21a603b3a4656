import assert from "node:assert/strict";
import { bfloat16Value, decompose, evaluateExactly, type Graph, hostTensor, toFloat32 } from "@tessera/core";
import { onnxBackend } from "@tessera/backend-onnx";
import { compileProgram, type TracedProgram, traceProgram, Variable, zeros } from "@tessera/nn";
import { adamW, type AdamWOptions, type Optimizer } from "./optimizer.ts";
import { traceApply } from "./step.ts";

const scalar = { shape: [], dtype: "float32" } as const;
const scalars = { learningRate: scalar, momentumCorrection: scalar, velocityCorrection: scalar };

function weight(path: string, size: number, dtype: "float32" | "bfloat16" = "float32"): Variable {
  return new Variable(path, { shape: [size], dtype, initializer: zeros() });
}

/** The update of some variables by given gradients. */
function traceUpdate(optimizer: Optimizer, variables: readonly Variable[]): TracedProgram {
  const types = Object.fromEntries(
    variables.map(({ path, shape }) => [`d ${path}`, { shape, dtype: "float32" as const }]),
  );
  return traceProgram("update", { ...types, ...scalars }, (inputs) => {
    const given = inputs as typeof inputs & Record<string, typeof inputs.learningRate>;
    variables.forEach((variable) => optimizer.update(variable, given[`d ${variable.path}`]!, given));
    return {};
  });
}

/** Runs a program of updates in float64, keeping the state by path. */
function runExactly(
  { graph, batch, variables, updated }: TracedProgram,
  given: Readonly<Record<string, ArrayLike<number>>>,
  state: Map<string, Float64Array>,
): void {
  const inputs = [
    ...batch.map((name) => Float64Array.from(given[name]!)),
    ...variables.map(({ path, size }) => state.get(path) ?? new Float64Array(size)),
  ];
  const outputs = evaluateExactly(decompose(graph) as Graph, inputs);
  updated.forEach(({ path }, i) => state.set(path, Float64Array.from(outputs[i]!)));
}

/** The published algorithm, line by line, for one weight. */
function referenceAdamW(
  options: Required<Pick<AdamWOptions, "weightDecay" | "beta1" | "beta2" | "epsilon">>,
  rate: number,
) {
  let [m, v, t] = [0, 0, 0];
  return (p: number, g: number): number => {
    t++;
    p -= rate * options.weightDecay * p;
    m = options.beta1 * m + (1 - options.beta1) * g;
    v = options.beta2 * v + (1 - options.beta2) * g * g;
    const corrected = [m / (1 - options.beta1 ** t), v / (1 - options.beta2 ** t)] as const;
    return p - rate * corrected[0] / (Math.sqrt(corrected[1]) + options.epsilon);
  };
}

function gradientAt(step: number, i: number): number {
  return Math.sin(step * 1.7 + i) * 10 ** (i - 3);
}

for (
  const options of [
    { weightDecay: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
    { weightDecay: 0, beta1: 0.8, beta2: 0.95, epsilon: 1e-3 },
    { weightDecay: 0.3, beta1: 0, beta2: 0, epsilon: 1e-6 },
  ]
) {
  Deno.test(`adamW() updates as published, with ${JSON.stringify(options)}`, () => {
    const [rate, size] = [0.05, 6];
    const optimizer = adamW({ learningRate: rate, ...options });
    const variable = weight("w", size);
    const traced = traceUpdate(optimizer, [variable]);
    const start = Float64Array.from({ length: size }, (_, i) => i - 2.5);
    const state = new Map([["w", start]]);
    const steps = start.map((_, i) => i).reduce<((p: number, g: number) => number)[]>(
      (all) => [...all, referenceAdamW(options, rate)],
      [],
    );
    const expected = [...start];
    for (let step = 0; step < 20; step++) {
      const gradient = Array.from({ length: size }, (_, i) => gradientAt(step, i));
      const numbers = Object.entries(optimizer.scalars(step)).map(([name, value]) => [name, [value]] as const);
      runExactly(traced, { "d w": gradient, ...Object.fromEntries(numbers) }, state);
      gradient.forEach((g, i) => expected[i] = steps[i]!(expected[i]!, g));
      expected.forEach((value, i) => {
        const found = state.get("w")![i]!;
        assert(Math.abs(found - value) <= 1e-12 * Math.max(1, Math.abs(value)), `step ${step}: ${found}, not ${value}`);
      });
    }
  });
}

Deno.test("adamW() makes a first step of the learning rate, whatever the size of the gradient", () => {
  const optimizer = adamW({ learningRate: 0.1, weightDecay: 0, epsilon: 1e-12 });
  const state = new Map<string, Float64Array>();
  const given = Object.entries(optimizer.scalars(0)).map(([name, value]) => [name, [value]] as const);
  runExactly(
    traceUpdate(optimizer, [weight("w", 3)]),
    { "d w": [1e-4, 3, -2000], ...Object.fromEntries(given) },
    state,
  );
  [...state.get("w")!].forEach((value, i) => assert(Math.abs(value - [-0.1, -0.1, 0.1][i]!) < 1e-8));
});

Deno.test("adamW() leaves excluded variables without decay, also by a global regular expression", () => {
  const optimizer = adamW({
    learningRate: 0.1,
    weightDecay: 0.5,
    excludeFromWeightDecay: ["norm/scale$", /LORA/gi],
  });
  const variables = ["norm/scale", "a/lora", "b/lora", "norm/scale/kernel"].map((path) => weight(path, 1));
  const state = new Map(variables.map(({ path }) => [path, Float64Array.of(1)]));
  const given = Object.fromEntries([
    ...variables.map(({ path }) => [`d ${path}`, [0]]),
    ...Object.entries(optimizer.scalars(0)).map(([name, value]) => [name, [value]]),
  ]);
  runExactly(traceUpdate(optimizer, variables), given, state);
  assert.deepEqual(variables.map(({ path }) => state.get(path)![0]), [1, 1, 1, 0.95]);
});

Deno.test("globalClipNorm scales all gradients down together, and only where they are too large", () => {
  for (const [limit, factor] of [[1, 0.2], [5, 1], [100, 1]] as const) {
    const optimizer = adamW({ learningRate: 1, globalClipNorm: limit, beta1: 0, weightDecay: 0 });
    const [a, b] = [weight("a", 1), weight("b", 2)];
    const accumulators = new Map([[a, weight("sum/a", 1)], [b, weight("sum/b", 2)]]);
    const traced = traceApply(optimizer, accumulators);
    // Three tokens: the mean gradient is [3], [0, 4], of norm 5.
    const state = new Map([["sum/a", Float64Array.of(9)], ["sum/b", Float64Array.of(0, 12)]]);
    const given = Object.entries(optimizer.scalars(0)).map(([name, value]) => [name, [value]] as const);
    const inputs = traced.variables.map(({ path, size }) => state.get(path) ?? new Float64Array(size));
    const batch = traced.batch.map((name) =>
      Float64Array.from(name === "tokens" ? [3] : Object.fromEntries(given)[name]!)
    );
    const outputs = evaluateExactly(decompose(traced.graph), [...batch, ...inputs]);
    const named = Object.fromEntries(traced.updated.map(({ path }, i) => [path, [...outputs[i + 1]!]]));
    assert.deepEqual([...outputs[0]!], [5]);
    const near = (found: number[], expected: number[]) =>
      found.forEach((value, i) => assert(Math.abs(value - expected[i]!) < 1e-12, `${found} is not ${expected}`));
    near(named["adamw/a_momentum"]!, [3 * factor]);
    near(named["adamw/b_momentum"]!, [0, 4 * factor]);
    assert.deepEqual([named["sum/a"], named["sum/b"]], [[0], [0, 0]], "the sums start again");
  }
});

Deno.test("a bfloat16 weight takes in updates that are small beside it, through its float32 copy", async () => {
  const backend = onnxBackend({ threads: 1 });
  const optimizer = adamW({ learningRate: 1e-4, weightDecay: 0 });
  const variable = weight("w", 2, "bfloat16");
  variable.value = backend.upload(hostTensor("bfloat16", [2], Uint16Array.of(0x3f80, 0xbf80)));
  await optimizer.build([variable], backend);
  assert.deepEqual(optimizer.variables.map(({ path, dtype }) => `${path} ${dtype}`), [
    "adamw/w_momentum float32",
    "adamw/w_velocity float32",
    "adamw/w_master float32",
  ]);
  const program = await compileProgram(traceUpdate(optimizer, [variable]), backend);
  const w = hostTensor("float32", [2], Float32Array.of(1, 1));
  for (let step = 0; step < 100; step++) {
    const given = Object.entries(optimizer.scalars(step)).map(([name, value]) =>
      [name, hostTensor("float32", [], Float32Array.of(value))] as const
    );
    await program.run({ "d w": w, ...Object.fromEntries(given) });
  }
  const [stored, master] = [
    toFloat32(await variable.value.read()),
    toFloat32(await optimizer.variables[2]!.value!.read()),
  ];
  // Each update is 1e-4, a 40th of the distance to the next bfloat16 number.
  [0.99, -1.01].forEach((value, i) => {
    assert(Math.abs(master[i]! - value) < 1e-5, `the copy is ${master[i]}`);
    assert(Math.abs(stored[i]! - value) <= 2 ** -8, `the weight is ${stored[i]}`);
  });
  assert.notEqual(stored[0], 1);
  assert.equal(stored[0], bfloat16Value((await variable.value.read()).data[0] as number));
  program.dispose();
  backend.dispose();
});

Deno.test("build() frees the slots of variables that are no longer trained", async () => {
  const backend = onnxBackend({ threads: 1 });
  const optimizer = adamW({ learningRate: 1 });
  const [a, b] = [weight("a", 2), weight("b", 2)];
  for (const variable of [a, b]) variable.value = backend.zeros(variable.stored);
  await optimizer.build([a], backend);
  const slots = [...optimizer.variables];
  await optimizer.build([b], backend);
  assert.deepEqual(slots.map(({ value }) => value), [null, null]);
  assert.deepEqual(optimizer.variables.map(({ path }) => path), ["adamw/b_momentum", "adamw/b_velocity"]);
  backend.dispose();
});

Deno.test("build() rejects a variable without a value", async () => {
  const backend = onnxBackend({ threads: 1 });
  await assert.rejects(adamW({ learningRate: 1 }).build([weight("w", 2)], backend), {
    name: "TypeError",
    message: /Cannot train w float32\[2\]: it has no value/,
  });
  backend.dispose();
});
