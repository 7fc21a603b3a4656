/**
 * Looks for sharding rules that are missing: every op runs on shards of its operands, sharded in every way. Where
 * the results happen to be shards of the whole result, or partial sums of it, the partitioner must find that nothing is sent.
 * `partition_test.ts` shows that no rule is wrong.
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
} from "@tessera/core";
import { allSamples, assertAllClose, type Sample, sampleOperands } from "@tessera/core/testing";
import { shardGraph } from "./partition.ts";
import { formatSharding, localType, type MeshShape, type Sharding } from "../sharding/sharding.ts";
import { partOf } from "./simulate.ts";
import { trafficOf } from "./traffic.ts";

const mesh: MeshShape = { axes: [{ name: "m", size: 2 }] };
const close = { absolute: 1e-9, relative: 1e-9 };

/** Splits that work by chance of the sample, or that are not worth a rule, and why. */
const notWanted: Readonly<Record<string, string>> = {
  "slice, empty": "nothing is any part of nothing",
  "concat, one": "nothing makes a concatenation of one tensor",
};

interface Tensors {
  readonly types: readonly TensorType[];
  readonly data: readonly Float64Array[];
}

function traceOp(op: OpName, operands: readonly TensorType[], attrs: Attrs) {
  return trace(op, Object.fromEntries(operands.map((type, i) => [`x${i}`, type])), (symbols) => {
    const results = emit(op, Object.values(symbols), attrs);
    return Object.fromEntries(results.map((result, i) => [`y${i}`, result]));
  });
}

function run(op: OpName, { types, data }: Tensors, attrs: Attrs): Tensors {
  const graph = traceOp(op, types, attrs);
  return { types: graph.outputs.map(({ type }) => type), data: evaluateExactly(graph, data) };
}

function splits({ shape }: TensorType): Sharding[] {
  const whole = { dims: shape.map(() => []), partial: [] };
  const split = shape.flatMap((length, axis) =>
    length > 0 && length % 2 === 0 ? [{ dims: whole.dims.map((_, i) => i === axis ? ["m"] : []), partial: [] }] : []
  );
  return [whole, ...split];
}

function combinations<T>(lists: readonly (readonly T[])[]): T[][] {
  return lists.reduce<T[][]>((found, list) => found.flatMap((items) => list.map((item) => [...items, item])), [[]]);
}

/** The operands that a device has. */
function partsOf({ types, data }: Tensors, shardings: readonly Sharding[], device: number): Tensors {
  return {
    types: types.map((type, i) => localType(type, shardings[i]!, mesh)),
    data: data.map((elements, i) => partOf(types[i]!, elements, shardings[i]!, mesh, device)),
  };
}

/** Attributes that speak of lengths, for a local result of some shape. */
function localAttrs(op: OpName, attrs: Attrs, shape: readonly number[], operands: readonly TensorType[]): Attrs {
  if (op === "full" || op === "reshape" || op === "broadcastTo") return { ...attrs, shape };
  if (op !== "slice") return attrs;
  // An axis that is taken whole stays so.
  return { ...attrs, limits: (attrs.limits as readonly number[]).map((n, i) => Math.min(n, operands[0]!.shape[i]!)) };
}

/** Tells whether the devices' results are what a sharding of the whole result says. */
function agrees(found: readonly Float64Array[], whole: Float64Array, type: TensorType, sharding: Sharding): boolean {
  try {
    if (sharding.partial.length > 0) {
      assertAllClose(found[0]!.map((x, i) => x + found[1]![i]!), whole, close);
    } else found.forEach((part, device) => assertAllClose(part, partOf(type, whole, sharding, mesh, device), close));
    return true;
  } catch {
    return false;
  }
}

/** The ways to split results that running the op on the parts gives. */
function working(op: OpName, sample: Sample, shardings: readonly Sharding[], seed: number): Sharding[][] {
  const attrs = sample.attrs as Attrs;
  const inputs = sampleOperands(sample, seed);
  const whole = { types: inputs.map(({ shape, dtype }) => ({ shape, dtype })), data: inputs.map(toElements) };
  const expected = run(op, whole, attrs);
  const candidates = expected.types.map((type) => [
    ...splits(type),
    ...(type.dtype === "bool" ? [] : [{ dims: type.shape.map(() => []), partial: ["m"] }]),
  ]);
  return combinations<Sharding>(candidates).filter((results) => {
    try {
      const { shape } = localType(expected.types[0]!, { ...results[0]!, partial: [] }, mesh);
      const local = [0, 1].map((device) => {
        const parts = partsOf(whole, shardings, device);
        return run(op, parts, localAttrs(op, attrs, shape, parts.types));
      });
      return results.every((sharding, i) =>
        agrees(local.map(({ data }) => data[i]!), expected.data[i]!, expected.types[i]!, sharding)
      );
    } catch {
      return false;
    }
  });
}

for (const { op, sample } of allSamples()) {
  Deno.test(`no rule of ${op} is missing, ${sample.name}`, () => {
    const operands = sampleOperands(sample, 1);
    const attrs = sample.attrs as Attrs;
    const graph = traceOp(op, operands.map(({ shape, dtype }) => ({ shape, dtype })), attrs);
    const missing: string[] = [];
    for (const shardings of combinations(operands.map(splits)).slice(0, 200)) {
      const second = working(op, sample, shardings, 2).map((results) => results.map(formatSharding).join(", "));
      for (const results of working(op, sample, shardings, 1)) {
        const text = results.map(formatSharding).join(", ");
        // Only what works on two sets of numbers is no accident.
        if (!second.includes(text) || results.every(({ partial, dims }) => partial.length + dims.flat().length === 0)) {
          continue;
        }
        const known = new Map<Tensor, Sharding>(graph.inputs.map((input, i) => [input, shardings[i]!]));
        const sent = (() => {
          try {
            return trafficOf(shardGraph(graph, mesh, known, results).graph).map((traffic) => traffic.op).join(", ");
          } catch {
            return "no way found";
          }
        })();
        if (sent !== "") missing.push(`${shardings.map(formatSharding).join(", ")} -> ${text}: ${sent}`);
      }
    }
    const excused = notWanted[`${op}, ${sample.name}`] !== undefined;
    assert.deepEqual(excused ? [] : missing, []);
  });
}
