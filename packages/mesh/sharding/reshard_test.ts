import assert from "node:assert/strict";
import fc from "fast-check";
import { latencyBytes, reshardCost, reshardMoves } from "./reshard.ts";
import { type MeshShape, sameSharding, type Sharding } from "./sharding.ts";

const mesh: MeshShape = { axes: [{ name: "x", size: 2 }, { name: "y", size: 4 }, { name: "z", size: 2 }] };

function sharding(dims: string, ...partial: string[]): Sharding {
  return { dims: dims.split(" ").map((own) => own === "-" ? [] : [...own]), partial };
}

function moves(from: Sharding, to: Sharding): string[] | null {
  return reshardMoves(from, to, mesh)?.map(({ step }) => {
    const at = step.op === "allReduce"
      ? ""
      : step.op === "allToAll"
      ? `${step.concatAxis}>${step.splitAxis} `
      : `${step.axis} `;
    return `${step.op} ${at}${step.meshAxes.join("")}`;
  }) ?? null;
}

Deno.test("reshardMoves() picks the cheapest collectives", () => {
  for (
    const [from, to, expected] of [
      [sharding("- -"), sharding("x y"), ["shardSlice 0 x", "shardSlice 1 y"]],
      [sharding("- -"), sharding("xy -"), ["shardSlice 0 xy"]],
      [sharding("xy -"), sharding("- -"), ["allGather 0 xy"]],
      [sharding("x -"), sharding("- x"), ["allToAll 0>1 x"]],
      [sharding("- -", "x"), sharding("- -"), ["allReduce x"]],
      [sharding("- -", "y", "x"), sharding("- -"), ["allReduce xy"]],
      [sharding("- -", "x"), sharding("x -"), ["reduceScatter 0 x"]],
      [sharding("- -", "x", "y"), sharding("x -"), ["reduceScatter 0 x", "allReduce y"]],
      [sharding("x -", "y"), sharding("x -", "y"), []],
      [sharding("x y"), sharding("y x"), ["allGather 0 x", "allToAll 1>0 y", "shardSlice 1 x"]],
      [sharding("- -"), sharding("- -", "x"), null],
    ] as const
  ) assert.deepEqual(moves(from, to), expected);
});

Deno.test("reshardCost() counts bytes sent and latency", () => {
  const type = { shape: [8, 8], dtype: "float32" } as const;
  assert.equal(reshardCost(type, sharding("- -"), sharding("x -"), mesh), 0);
  // 256 bytes; all-reduce sends 2 · 3/4 of them over 4 devices.
  assert.equal(reshardCost(type, sharding("- -", "y"), sharding("- -"), mesh), 384 + latencyBytes);
  // 64 bytes each, and those of three others come in.
  assert.equal(reshardCost(type, sharding("y -"), sharding("- -"), mesh), 192 + latencyBytes);
  assert.equal(reshardCost(type, sharding("- -"), sharding("- -", "y"), mesh), Infinity);
});

const anySharding = fc.array(fc.nat(3), { minLength: 3, maxLength: 3 }).chain((places) =>
  fc.shuffledSubarray(["x", "y", "z"], { minLength: 3 }).map((order): Sharding => {
    const dims: string[][] = [[], []];
    const partial: string[] = [];
    order.forEach((name, i) => (places[i]! < 2 ? dims[places[i]!]! : places[i] === 2 ? partial : []).push(name));
    return { dims, partial };
  })
);

Deno.test("reshardMoves() arrives from anywhere to anywhere that is not more partial", () => {
  fc.assert(
    fc.property(anySharding, anySharding, (from, wanted) => {
      const to = { dims: wanted.dims, partial: wanted.partial.filter((name) => from.partial.includes(name)) };
      const found = reshardMoves(from, to, mesh)!;
      assert.ok(sameSharding(found.at(-1)?.after ?? from, to));
      assert.ok(found.length <= 8);
    }),
    { seed: 1, numRuns: 2000 },
  );
});
