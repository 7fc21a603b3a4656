/** Whole models, forward and backward, split in Megatron's way and in random ways: the same numbers as on one device. */
import fc from "fast-check";
import { evaluateExactly, type Graph, printGraph, type Tensor, toElements, verify } from "@tessera/core";
import { assertAllClose, randomGraph, randomGraphInputs, sampleOperands } from "@tessera/core/testing";
import { shardGraph } from "./partition.ts";
import { type Block, type BlockOptions, megatronShardings, tiny, traceBlock } from "../samples/tiny_block.ts";
import { formatSharding, type MeshShape, partsOf, replicated, type Sharding } from "../sharding/sharding.ts";
import { simulate } from "./simulate.ts";

function meshOf(...sizes: number[]): MeshShape {
  return { axes: sizes.map((size, i) => ({ name: ["batch", "model", "third"][i]!, size })) };
}

/** Inputs in proportion: tokens and labels within the vocabulary, weights and states around zero, a mask with holes. */
function blockInputs({ graph }: Block): Float64Array[] {
  const operands = graph.inputs.map(({ type }, i) => ({
    type,
    fill: (uniform: Float32Array) =>
      Array.from(uniform, (u) => {
        if (type.dtype === "int32") return Math.floor(u * tiny.vocabulary);
        return graph.inputNames[i] === "mask" ? (u < 0.7 ? 1 : 0) : 2 * u - 1;
      }),
  }));
  return sampleOperands({ operands }, 11).map(toElements);
}

function check(
  graph: Graph,
  inputs: readonly Float64Array[],
  expected: readonly Float64Array[],
  mesh: MeshShape,
  known: ReadonlyMap<Tensor, Sharding>,
  outputs: readonly (Sharding | null)[] = [],
): void {
  const local = shardGraph(graph, mesh, known, outputs);
  verify(local.graph, "partitioning");
  simulate(local, mesh, inputs).forEach((found, i) => {
    try {
      assertAllClose(found, expected[i]!, { absolute: 1e-9, relative: 1e-8 });
    } catch (error) {
      const shardings = [...known].map(([tensor, sharding]) =>
        `${graph.inputNames[graph.inputs.indexOf(tensor)]}: ${formatSharding(sharding)}`
      );
      throw new Error(
        `output "${graph.outputNames[i]}" is off with ${shardings.join("; ")}\n${printGraph(local.graph)}`,
        {
          cause: error,
        },
      );
    }
  });
}

const meshes = [meshOf(1, 2), meshOf(2, 1), meshOf(2, 2), meshOf(4, 2), meshOf(1, 4), meshOf(2, 2, 2)];
const blocks: readonly (readonly [string, BlockOptions])[] = [
  ["full fine-tuning", { adapter: "none" }],
  ["Keras's adapters", { adapter: "keras" }],
  ["PEFT's adapters", { adapter: "peft" }],
  ["one key head", { adapter: "none", sizes: { keyHeads: 1 } }],
  ["fewer key heads than parts", { adapter: "none", sizes: { heads: 8, hidden: 4 } }],
];

for (const [name, options] of blocks) {
  const block = traceBlock(options);
  const inputs = blockInputs(block);
  const expected = evaluateExactly(block.graph, inputs);

  Deno.test(`Megatron's shardings, ${name}`, () => {
    for (const mesh of meshes) {
      const known = megatronShardings(block);
      for (const [path, tensor] of block.inputs) {
        // Key heads that do not divide are replicated.
        const copied = /(key|value)\/(kernel|a|b)$/.test(path) &&
          tensor.shape.some((length, axis) => length % partsOf(mesh, known.get(tensor)!.dims[axis]!) !== 0);
        if (copied) known.set(tensor, replicated(tensor.rank));
      }
      const outputs = block.trained.map((trained) => known.get(block.inputs.get(trained)!)!);
      check(block.graph, inputs, expected, mesh, known, [null, ...outputs]);
    }
  });

  Deno.test(`random shardings, ${name}`, () => {
    fc.assert(
      fc.property(fc.nat(meshes.length - 1), fc.array(fc.nat(1000), { minLength: 80, maxLength: 80 }), (at, picks) => {
        const mesh = meshes[at]!;
        const source = picks.values();
        const known = new Map(block.graph.inputs.map((tensor) => [tensor, randomSharding(tensor, mesh, source)]));
        // Some inputs are left to propagation.
        block.graph.inputs.forEach((tensor) => (source.next().value ?? 0) % 4 === 0 && known.delete(tensor));
        const outputs = block.graph.outputs.map((tensor) =>
          (source.next().value ?? 0) % 2 === 0 ? null : randomSharding(tensor, mesh, source)
        );
        check(block.graph, inputs, expected, mesh, known, outputs);
      }),
      { seed: 7, numRuns: 40 },
    );
  });
}

/** A sharding that divides, made of numbers. */
function randomSharding(tensor: Tensor, mesh: MeshShape, source: Iterator<number>): Sharding {
  const dims: string[][] = tensor.shape.map(() => []);
  const lengths = [...tensor.shape];
  for (const { name, size } of mesh.axes) {
    const axis = (source.next().value ?? 0) % (tensor.rank + 1);
    if (axis === tensor.rank || lengths[axis]! % size !== 0) continue;
    lengths[axis]! /= size;
    if ((source.next().value ?? 0) % 2 === 0) dims[axis]!.push(name);
    else dims[axis]!.unshift(name);
  }
  return { dims, partial: [] };
}

Deno.test("random graphs, random shardings", () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(1000), { maxLength: 24 }),
      fc.array(fc.nat(1000), { minLength: 12, maxLength: 12 }),
      (choices, picks) => {
        const graph = randomGraph(choices);
        const inputs = randomGraphInputs(3).map(toElements);
        const expected = evaluateExactly(graph, inputs);
        const source = picks.values();
        const mesh = meshOf(2, 3);
        const known = new Map(graph.inputs.map((tensor) => [tensor, randomSharding(tensor, mesh, source)]));
        const outputs = graph.outputs.map((tensor) => randomSharding(tensor, mesh, source));
        check(graph, inputs, expected, mesh, known, outputs);
      },
    ),
    { seed: 5, numRuns: 300 },
  );
});
