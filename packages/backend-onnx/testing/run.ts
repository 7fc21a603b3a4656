/** Running a graph on the backend and on the reference evaluator, for tests. */

import assert from "node:assert/strict";
import { evaluate, type Graph, type HostTensor, hostTensor, sizeOf, type TensorType, toElements } from "@tessera/core";
import type { Backend } from "@tessera/runtime";
import { runOnce } from "@tessera/runtime/testing";

/** Requires that a backend computes what the reference evaluator does. */
export async function assertAgrees(
  backend: Backend,
  graph: Graph,
  inputs: readonly HostTensor[],
  tolerance = 1e-5,
): Promise<void> {
  const expected = evaluate(graph, inputs);
  const found = await runOnce(backend, graph, inputs);
  expected.forEach((tensor, i) => assertClose(found[i]!, tensor, tolerance, `output ${graph.outputNames[i]}`));
}

/** Requires two tensors of one type whose elements are within a tolerance of each other, relative to the larger of 1 and the largest. */
export function assertClose(found: HostTensor, expected: HostTensor, tolerance: number, what: string): void {
  assert.deepEqual([found.dtype, found.shape], [expected.dtype, expected.shape], `${what} has another type`);
  const [a, b] = [toElements(found), toElements(expected)];
  const scale = b.reduce((largest, value) => Math.max(largest, Number.isFinite(value) ? Math.abs(value) : 0), 1);
  for (let i = 0; i < b.length; i++) {
    const same = Object.is(a[i], b[i]) || Math.abs(a[i]! - b[i]!) <= tolerance * scale;
    assert.ok(same, `${what} differs at element ${i}: found ${a[i]}, expected ${b[i]}`);
  }
}

/** Numbers from -2 to 2 that look random and are the same in every run. */
export function sample(size: number, seed = 1): Float32Array<ArrayBuffer> {
  let state = seed * 2654435761 >>> 0;
  return Float32Array.from({ length: size }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) / 2 ** 22 - 2;
  });
}

/** A float32 tensor of sample numbers. */
export function sampleTensor(shape: readonly number[], seed = 1): HostTensor {
  return hostTensor("float32", shape, sample(sizeOf(shape), seed));
}

/** A float32 type. */
export function float(...shape: number[]): TensorType & { readonly dtype: "float32" } {
  return { shape, dtype: "float32" };
}
