/** The loss of a vocabulary that is sharded over devices, in pieces: what one device computes, for as many all-reduces as whole. */
import assert from "node:assert/strict";
import {
  crossEntropy,
  einsum,
  evaluateExactly,
  foldIn,
  gradients,
  type Graph,
  normal,
  randomKey,
  sizeOf,
  sumOverPieces,
  type Tensor,
  trace,
} from "@tessera/core";
import { assertAllClose } from "@tessera/core/testing";
import { shardGraph } from "./partition.ts";
import type { MeshShape, Sharding } from "../sharding/sharding.ts";
import { simulate } from "./simulate.ts";
import { trafficOf } from "./traffic.ts";

const [batch, time, width, vocabulary] = [4, 6, 8, 16];

/** A capped head with its loss, and the gradients of what it reads. */
function head(most: number): Graph {
  const types = {
    hidden: { shape: [batch, time, width], dtype: "float32" },
    table: { shape: [vocabulary, width], dtype: "float32" },
    labels: { shape: [batch, time], dtype: "int32" },
    mask: { shape: [batch, time], dtype: "float32" },
  } as const;
  return trace("head", types, ({ hidden, table, labels, mask }) => {
    const loss = sumOverPieces([hidden, labels, mask], { axis: 1, most }, ([states, wanted, counts]) => {
      const logits = einsum("btd,vd->btv", states!, table).mul(1 / 3).tanh().mul(3);
      return crossEntropy(logits, wanted!).mul(counts!).sum();
    });
    const [dhidden, dtable] = gradients(loss.div(mask.sum()), [hidden, table]);
    return { loss, dhidden: dhidden!, dtable: dtable! };
  });
}

const random = (seed: number, ...shape: number[]) =>
  Float64Array.from(normal(foldIn(randomKey(3), seed), sizeOf(shape)));
const inputs = [
  random(0, batch, time, width),
  random(1, vocabulary, width),
  Float64Array.from({ length: batch * time }, (_, i) => (i * 7) % vocabulary),
  Float64Array.from({ length: batch * time }, (_, i) => i % 5 === 0 ? 0 : 1),
];

const rows: Sharding = { dims: [["batch"], []], partial: [] };

function sharded(graph: Graph, mesh: MeshShape) {
  const known = new Map<Tensor, Sharding>([
    [graph.inputs[0]!, { dims: [["batch"], [], []], partial: [] }],
    [graph.inputs[1]!, { dims: [["model"], []], partial: [] }],
    [graph.inputs[2]!, rows],
    [graph.inputs[3]!, rows],
  ]);
  return shardGraph(graph, mesh, known);
}

for (const [rowDevices, vocabularyDevices] of [[2, 1], [1, 2], [2, 4]] as const) {
  Deno.test(`sumOverPieces() of a loss on ${rowDevices}×${vocabularyDevices} is the loss of one device, with no more all-reduces`, () => {
    const mesh = { axes: [{ name: "batch", size: rowDevices }, { name: "model", size: vocabularyDevices }] };
    const expected = evaluateExactly(head(time), inputs);
    const whole = trafficOf(sharded(head(time), mesh).graph);
    for (const most of [1, 2, 4]) {
      const local = sharded(head(most), mesh);
      simulate(local, mesh, inputs).forEach((found, i) =>
        assertAllClose(found, expected[i]!, { absolute: 1e-12, relative: 1e-9 })
      );
      const traffic = trafficOf(local.graph);
      const counts = (list: typeof traffic) =>
        list.map(({ op, meshAxes, count, bytes }) => [op, meshAxes, count, bytes]);
      assert.deepEqual(counts(traffic), counts(whole));
    }
  });
}
