import assert from "node:assert/strict";
import { decompose, einsum, evaluateExactly, normal, parseEinsum, randomKey } from "@tessera/core";
import { einsumDense, Scope, traceProgram, zeros } from "@tessera/nn";
import { keras, peft } from "./layouts.ts";

/** The dense layers that a decoder has, with the factors that Keras and PEFT give them at rank 2: shapes of A and B. */
const layers = {
  query: { equation: "btd,ndh->btnh", shape: [4, 6, 3], keras: [[4, 6, 2], [2, 3]], peft: [[6, 2], [2, 4, 3]] },
  key: { equation: "bsd,kdh->bskh", shape: [2, 6, 3], keras: [[2, 6, 2], [2, 3]], peft: [[6, 2], [2, 2, 3]] },
  attention_output: {
    equation: "btnh,nhd->btd",
    shape: [4, 3, 6],
    keras: [[4, 3, 2], [2, 6]],
    peft: [[4, 3, 2], [2, 6]],
  },
  ffw_gating: { equation: "btd,df->btf", shape: [6, 5], keras: [[6, 2], [2, 5]], peft: [[6, 2], [2, 5]] },
  ffw_linear: { equation: "btf,fd->btd", shape: [5, 6], keras: [[5, 2], [2, 6]], peft: [[5, 2], [2, 6]] },
} as const;

const sizes: Readonly<Record<string, number>> = { b: 2, t: 3, s: 3, d: 6, n: 4, k: 2, h: 3, f: 5 };

for (const [name, { equation, shape, ...factors }] of Object.entries(layers)) {
  for (const [layout, make] of Object.entries({ keras, peft })) {
    Deno.test(`${layout}: the factors of ${name} have their shapes, and x·A·B is x times the merged update`, () => {
      const layer = einsumDense(new Scope(), name, { equation, shape, dtype: "float32", initializer: zeros() });
      const adapter = make(layer, 2, 6);
      const expected = factors[layout as "keras" | "peft"];
      assert.deepEqual([adapter.a.shape, adapter.b.shape], expected);
      assert.deepEqual(adapter.variables.map(({ path }) => path), [`${name}/lora_kernel_a`, `${name}/lora_kernel_b`]);

      const ofX = [...parseEinsum(equation).a].map((letter) => sizes[letter]!);
      const { graph, variables } = traceProgram("adapter", { x: { shape: ofX, dtype: "float32" } }, ({ x }) => ({
        applied: adapter.apply(x),
        merged: einsum(equation, x, adapter.delta()),
      }));
      const draw = (size: number, seed: number) => Float64Array.from(normal(randomKey(seed), size));
      const x = draw(ofX.reduce((product, n) => product * n, 1), 1);
      const [applied, merged] = evaluateExactly(decompose(graph), [
        x,
        ...variables.map(({ size }, i) => draw(size, i + 2)),
      ]);
      assert(Math.max(...applied!.map(Math.abs)) > 1);
      applied!.forEach((value, i) =>
        assert(Math.abs(value - merged![i]!) < 1e-9, `element ${i}: ${value}, ${merged![i]}`)
      );
    });
  }
}

Deno.test("PEFT's factors lie as its files have them: rank first in A, last in B", () => {
  const { equation, shape } = layers.query;
  const layer = einsumDense(new Scope(), "query", { equation, shape, dtype: "float32", initializer: zeros() });
  const { a, b } = peft(layer, 2, 2);
  assert.deepEqual([a.stored.shape, b.stored.shape], [[2, 6], [4, 3, 2]]);
});

Deno.test("an adapter multiplies by its factors, never by a product of the kernel's size", () => {
  const { equation, shape } = layers.query;
  for (const make of [keras, peft]) {
    const layer = einsumDense(new Scope(), "query", { equation, shape, dtype: "float32", initializer: zeros() });
    const adapter = make(layer, 2, 2);
    const { graph } = traceProgram(
      "adapter",
      { x: { shape: [2, 3, 6], dtype: "float32" } },
      ({ x }) => ({ y: adapter.apply(x) }),
    );
    const shapes = graph.nodes.flatMap(({ results }) => results.map(({ type }) => [...type.shape].sort().join()));
    assert(!shapes.includes([...shape].sort().join()), `${shapes}`);
  }
});
