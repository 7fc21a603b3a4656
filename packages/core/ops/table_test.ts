import assert from "node:assert/strict";
import type { TensorType } from "../values/dtype.ts";
import { kernels } from "../reference/kernels.ts";
import type { SampleTable } from "../samples/sample.ts";
import { samples } from "../testing.ts";
import type { Elementwise } from "./elementwise.ts";
import type { NoAttrs, OpTable } from "./op.ts";
import { composites, isComposite, isOpName, type Lowering, opOf, primitives } from "./table.ts";

Deno.test("an op is either a primitive or a composite", () => {
  const shared = Object.keys(primitives).filter((op) => Object.hasOwn(composites, op));
  assert.deepEqual(shared, []);
  for (const op of Object.keys(composites)) assert.ok(isOpName(op) && isComposite(op));
  for (const op of Object.keys(primitives)) assert.ok(isOpName(op) && !isComposite(op) && !opOf(op).decompose);
});

Deno.test("every op has samples, and every primitive a reference kernel", () => {
  assert.deepEqual(Object.keys(samples).sort(), [...Object.keys(primitives), ...Object.keys(composites)].sort());
  assert.deepEqual(Object.keys(kernels).sort(), Object.keys(primitives).sort());
});

interface Pair {
  pair: { operands: [a: TensorType, b: TensorType]; attrs: NoAttrs; results: [y: TensorType] };
}

/** These do not run: the type checker must reject each marked line. */
export const refused = {
  // @ts-expect-error -- the samples of all ops are missing
  samples: {} satisfies SampleTable<Elementwise>,
  // @ts-expect-error -- a target that forgot every op
  lowering: {} satisfies Lowering<null, string>,
  pair: {
    pair: {
      infer: ([a]) => [a],
      factors: () => null,
      // @ts-expect-error -- one cotangent for two operands
      vjp: ([ct]) => [ct],
    },
  } satisfies OpTable<Pair>,
  misspelled: {
    // @ts-expect-error -- there is no such op
    pear: null,
    pair: { infer: ([a]) => [a], factors: () => null, vjp: null },
  } satisfies OpTable<Pair>,
};
