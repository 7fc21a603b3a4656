/**
 * Checks the sharding rules of all ops by brute force: every sample of every op, with its operands sharded in every way that
 * divides, on small meshes; the reassembled shards must equal what one device computes.
 */
import assert from "node:assert/strict";
import {
  type Attrs,
  emit,
  evaluateExactly,
  type OpName,
  type Tensor,
  type TensorType,
  toElements,
  trace,
  verify,
} from "@tessera/core";
import { allSamples, assertAllClose, sampleOperands } from "@tessera/core/testing";
import { shardGraph } from "./partition.ts";
import { formatSharding, type MeshShape, type Sharding } from "../sharding/sharding.ts";
import { simulate } from "./simulate.ts";

function meshOf(batch: number, model: number): MeshShape {
  return { axes: [{ name: "batch", size: batch }, { name: "model", size: model }] };
}

const meshes = [meshOf(1, 2), meshOf(2, 1), meshOf(2, 2)];

/** Every way to split a tensor over the mesh axes that split anything, and to be partial where that is asked for. */
function placements({ shape, dtype }: TensorType, mesh: MeshShape, partial: boolean): Sharding[] {
  const mayBePartial = partial && dtype !== "bool";
  let found: Sharding[] = [{ dims: shape.map(() => []), partial: [] }];
  for (const { name, size } of mesh.axes) {
    if (size === 1) continue;
    found = found.flatMap(({ dims, partial }) => [
      { dims, partial },
      ...(mayBePartial ? [{ dims, partial: [...partial, name] }] : []),
      ...shape.flatMap((length, axis) => {
        const orders = dims[axis]!.length === 0 ? [[name]] : [[...dims[axis]!, name], [name, ...dims[axis]!]];
        if (length === 0 || length % (size ** orders[0]!.length) !== 0) return [];
        return orders.map((own) => ({ dims: dims.with(axis, own), partial }));
      }),
    ]);
  }
  return found;
}

/** All choices of one item per list, thinned out evenly when there are more than `limit`. */
function product<T>(lists: readonly (readonly T[])[], limit: number): T[][] {
  const total = lists.reduce((count, list) => count * list.length, 1);
  const step = Math.max(1, total / limit);
  const found: T[][] = [];
  for (let at = 0; at < total; at += step) {
    let rest = Math.floor(at);
    found.push(lists.map((list) => {
      const item = list[rest % list.length]!;
      rest = Math.floor(rest / list.length);
      return item;
    }));
  }
  return found;
}

const limit = 60;

for (const { op, sample } of allSamples()) {
  Deno.test(`partition of ${op}, ${sample.name}`, () => {
    const inputs = sampleOperands(sample, 5);
    const types = Object.fromEntries(inputs.map(({ shape, dtype }, i) => [`x${i}`, { shape, dtype }]));
    const graph = trace(op, types, (symbols) => {
      const results = emit(op as OpName, Object.values(symbols), sample.attrs as Attrs);
      return Object.fromEntries(results.map((result, i) => [`y${i}`, result]));
    });
    const elements = inputs.map(toElements);
    const expected = evaluateExactly(graph, elements);
    for (const mesh of meshes) {
      const outputs = graph.outputs.map((output) => [null, ...placements(output.type, mesh, false)]);
      const all = product<Sharding | null>(
        [...inputs.map((input) => placements(input, mesh, true)), ...outputs],
        limit,
      );
      for (const shardings of all) {
        const known = new Map<Tensor, Sharding>(graph.inputs.map((input, i) => [input, shardings[i]!]));
        const wanted = shardings.slice(inputs.length);
        const what = `${mesh.axes.map(({ size }) => size).join("×")}: ${
          shardings.map((sharding) => sharding === null ? "any" : formatSharding(sharding)).join(", ")
        }`;
        try {
          const local = shardGraph(graph, mesh, known, wanted);
          verify(local.graph, "partitioning");
          simulate(local, mesh, elements).forEach((found, i) =>
            assertAllClose(found, expected[i]!, { absolute: 1e-9, relative: 1e-9 })
          );
        } catch (error) {
          throw new assert.AssertionError({ message: `${what}: ${(error as Error).stack}` });
        }
      }
    }
  });
}
