import assert from "node:assert/strict";
import {
  composites,
  evaluateExactly,
  gelu,
  gradients,
  type HostTensor,
  hostTensor,
  isComposite,
  isFloat,
  type LocalOps,
  opOf,
  primitives,
  silu,
  softmax,
  type Tensor,
  trace,
} from "../mod.ts";
import { emit } from "./tensor.ts";
import { toElements } from "../reference/evaluate.ts";
import { allSamples, assertAllClose, checkGradient, type Sample, sampleOperands, samples } from "../testing.ts";

type LocalOp = keyof LocalOps;
const names = [...Object.keys(primitives), ...Object.keys(composites)] as LocalOp[];

/** Operands that are tables, not parameters: they have no gradient by design. */
const constants: { readonly [K in LocalOp]?: readonly number[] } = { rotaryEmbedding: [2], quantizedEinsum: [2] };

function callOf(op: LocalOp, sample: Sample) {
  return (...operands: Tensor[]) => emit(op, operands, sample.attrs as Record<string, unknown>);
}

for (const op of names) {
  const list = samples[op].filter((sample) => sample.differentiable) as readonly Sample[];
  if (list.length === 0) continue;
  Deno.test(`gradients() of ${op} are its central differences`, async (t) => {
    for (const sample of list) {
      await t.step(
        sample.name,
        () => checkGradient(callOf(op, sample), sampleOperands(sample, 1), { constants: constants[op] ?? [] }),
      );
    }
  });
}

Deno.test("gradients() has a rule for every op but those that have no gradient", () => {
  const without = names.filter((op) => opOf(op).vjp === null).sort();
  // Steps and comparisons are flat, positions are integers, only generation writes the cache, and updates come after the
  // gradients.
  assert.deepEqual(without, [
    "adamW",
    "and",
    "argMax",
    "equal",
    "floor",
    "greater",
    "greaterEqual",
    "less",
    "lessEqual",
    "not",
    "or",
    "updateSlice",
  ]);
});

Deno.test("samples of every op with a gradient rule include differentiable ones", () => {
  // Those without a float operand have nothing to differentiate; sign is flat; the last one is only ever a gradient.
  const exempt = ["attentionGrad", "constant", "full", "iota", "sign"];
  for (const op of names) {
    const expected = opOf(op).vjp !== null && !exempt.includes(op);
    assert.equal((samples[op] as readonly Sample[]).some((sample) => sample.differentiable), expected, op);
  }
});

Deno.test("gradients() by the rule of a composite are those of its definition", async (t) => {
  for (const { op, sample } of allSamples()) {
    if (!sample.differentiable || !isComposite(op) || opOf(op).vjp === "decompose") continue;
    const inputs = sampleOperands(sample, 2);
    const byRule = sineGradients(inputs, callOf(op, sample));
    const row = opOf(op);
    const byDefinition = sineGradients(
      inputs,
      (...operands) => row.decompose!(operands, sample.attrs as Record<string, unknown>),
    );
    await t.step(`${op}: ${sample.name}`, () => {
      byRule.forEach((gradient, i) => {
        if (constants[op]?.includes(i)) return;
        assertAllClose(gradient, byDefinition[i]!, { absolute: 1e-12, relative: 1e-9 });
      });
    });
  }
});

/** Gradients of Σ sin(results) for every operand, in float64; zeros for operands that have none. */
function sineGradients(inputs: readonly HostTensor[], fn: (...operands: Tensor[]) => readonly Tensor[]) {
  const types = Object.fromEntries(inputs.map(({ shape, dtype }, i) => [`x${i}`, { shape, dtype }]));
  const graph = trace("gradients", types, (symbols) => {
    const operands = Object.values(symbols);
    const loss = fn(...operands).map((y) => y.cast("float32").sin().sum()).reduce((a, b) => a.add(b));
    const found = operands.map((operand) => isFloat(operand.dtype) ? gradients(loss, [operand])[0]! : operand);
    return Object.fromEntries(found.map((gradient, i) => [`d${i}`, gradient]));
  });
  return evaluateExactly(graph, inputs.map(toElements));
}

const point = hostTensor("float32", [2, 3], new Float32Array([0.3, -1.2, 0.7, 1.9, -0.4, 0.1]));

for (const [name, fn] of Object.entries({ gelu, silu, softmax, tanh: (x: Tensor) => x.tanh() })) {
  Deno.test(`gradients() of a gradient of ${name} are its central differences`, () => {
    checkGradient((x) => gradients(fn(x).mul(x.sin()).sum(), [x]), [point]);
  });
}

Deno.test("gradients() of a gradient of rmsNorm, crossEntropy and abs are their central differences", () => {
  const scale = hostTensor("float32", [3], new Float32Array([0.5, -0.2, 1]));
  checkGradient(
    (x, g) => gradients(emit("rmsNorm", [x, g], { epsilon: 1e-3, offset: 1 })[0]!.sin().sum(), [x, g]),
    [point, scale],
  );
  const labels = hostTensor("int32", [2], new Int32Array([2, 0]));
  checkGradient((x, at) => gradients(emit("crossEntropy", [x, at], {})[0]!.square().sum(), [x]), [point, labels]);
  checkGradient((x) => gradients(x.abs().mul(x.square()).sum(), [x]), [point]);
});

Deno.test("gradients() adds up what arrives along several paths", () => {
  checkGradient((x) => x.mul(x).add(x.exp().mul(x)).sub(x.sum(-1, { keepDims: true })), [point]);
});

Deno.test("gradients() are zeros where the loss does not depend on a tensor", () => {
  const graph = trace("unused", { x: { shape: [2], dtype: "float32" }, y: { shape: [3], dtype: "float32" } }, (o) => {
    const [dx, dy] = gradients(o.x.sum(), [o.x, o.y]);
    return { dx: dx!, dy: dy! };
  });
  assert.deepEqual(evaluateExactly(graph, [new Float64Array(2), new Float64Array(3)]), [
    new Float64Array([1, 1]),
    new Float64Array(3),
  ]);
});

Deno.test("gradients() go no deeper than what they are asked for", () => {
  const graph = trace(
    "two layers",
    { x: { shape: [2], dtype: "float32" }, w: { shape: [2], dtype: "float32" } },
    (o) => {
      const hidden = o.x.exp().tanh();
      const before = hidden.mul(o.w);
      return { dw: gradients(before.sin().sum(), [o.w])[0]! };
    },
  );
  assert.equal(graph.nodes.filter((node) => node.op === "tanh" || node.op === "exp").length, 2);
});

Deno.test("gradients() pass integer and boolean values by", () => {
  checkGradient((x) => x.greater(0.2).cast("float32").mul(x).add(x.cast("int32").cast("float32")), [point]);
});

Deno.test("gradients() refuse a loss that is not a floating-point scalar", () => {
  const x = { shape: [2], dtype: "float32" } as const;
  assert.throws(() => trace("vector", { x }, (o) => ({ d: gradients(o.x, [o.x])[0]! })), {
    name: "TypeError",
    message: "Cannot differentiate float32[2]: the loss must be a floating-point scalar",
  });
});

Deno.test("gradients() refuse an op without a gradient and point at the line that asked for it", () => {
  const x = { shape: [2], dtype: "float32" } as const;
  function askForFloor(tensor: Tensor) {
    return tensor.floor();
  }
  assert.throws(
    () => trace("floor", { x }, (o) => ({ d: gradients(askForFloor(o.x).sum(), [o.x])[0]! })),
    (error: Error) => {
      assert.equal(error.message, 'Cannot differentiate "floor": it has no gradient');
      assert.match((error.cause as Error).stack!, /askForFloor/);
      return true;
    },
  );
});
