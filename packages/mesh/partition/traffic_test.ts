/** What sharded models send: the counts that Megatron's scheme promises, on the partitioned graph. */
import assert from "node:assert/strict";
import { trace } from "@tessera/core";
import { shardGraph } from "./partition.ts";
import {
  type Adapter,
  type Block,
  type BlockOptions,
  megatronShardings,
  tiny,
  traceBlock,
} from "../samples/tiny_block.ts";
import { type MeshShape, replicated } from "../sharding/sharding.ts";
import { liveBytes, splitAt, type Traffic, trafficOf } from "./traffic.ts";

function meshOf(batch: number, model: number): MeshShape {
  return { axes: [{ name: "batch", size: batch }, { name: "model", size: model }] };
}

/** The collectives of a block, such as `allReduce(model) × 2`. */
function collectives(options: BlockOptions, mesh: MeshShape): string[] {
  return trafficIn(options, mesh).map(({ op, meshAxes, count }) => `${op}(${meshAxes.join(" ")}) × ${count}`);
}

function trafficIn(options: BlockOptions, mesh: MeshShape): Traffic[] {
  const block = traceBlock(options);
  const shardings = megatronShardings(block);
  const outputs = block.graph.outputs.map((_, i) => outputSharding(block, i, shardings));
  const { graph } = shardGraph(block.graph, mesh, shardings, outputs);
  return trafficOf(graph);
}

/** The bytes of a hidden state, which is what each all-reduce of a block carries. */
const hiddenBytes = 4 * tiny.batch * tiny.time * tiny.hidden;

/** A gradient is sharded like its variable. */
function outputSharding(block: Block, output: number, shardings: ReturnType<typeof megatronShardings>) {
  const name = block.graph.outputNames[output]!.replace(/^d /, "");
  const input = block.inputs.get(name);
  return input === undefined ? null : shardings.get(input)!;
}

for (const adapter of ["none", "keras", "peft"] as const satisfies readonly Adapter[]) {
  Deno.test(`tensor parallelism, adapters ${adapter}: two all-reduces a block forward`, () => {
    for (const layers of [1, 3]) {
      const options = { adapter, training: false, bare: true, sizes: { layers } };
      const [found, ...others] = trafficIn(options, meshOf(1, 2));
      assert.deepEqual(others, []);
      assert.deepEqual([found!.op, found!.count, found!.bytes], ["allReduce", 2 * layers, 2 * layers * hiddenBytes]);
    }
  });

  Deno.test(`tensor parallelism, adapters ${adapter}: two all-reduces a block backward`, () => {
    for (const layers of [1, 3]) {
      const options = { adapter, bare: true, sizes: { layers } };
      // Gradients of replicated factors share the last all-reduce.
      const [found, ...others] = trafficIn(options, meshOf(1, 2));
      assert.deepEqual(others, []);
      assert.deepEqual([found!.op, found!.count], ["allReduce", 4 * layers]);
      if (adapter === "none") assert.equal(found!.bytes, 4 * layers * hiddenBytes);
    }
  });

  Deno.test(`data parallelism, adapters ${adapter}: one all-reduce of the gradients`, () => {
    const found = collectives({ adapter, sizes: { layers: 2 } }, meshOf(2, 1));
    // The other one is the count of tokens, by which the loss is divided.
    assert.deepEqual(found, ["allReduce(batch) × 2"]);
  });
}

Deno.test("data and tensor parallelism, adapters: one all-reduce for each way in which gradients are partial", () => {
  const found = collectives({ adapter: "peft", sizes: { layers: 2 } }, meshOf(2, 2));
  assert.deepEqual(found, [
    // Forward 2 + 2, backward 2 + 1 as nothing below the first block is trained, embedding 1, logits 1, loss 2.
    "allReduce(model) × 11",
    // The count of tokens, and the gradients of sharded factors.
    "allReduce(batch) × 2",
    // The gradients of replicated factors.
    "allReduce(batch model) × 1",
  ]);
});

Deno.test("query heads are sharded over more devices than there are key heads without a gather", () => {
  const block = traceBlock({ bare: true, training: false, sizes: { heads: 8 } });
  const shardings = megatronShardings(block);
  for (const kernel of ["key", "value"]) {
    const tensor = block.inputs.get(`block_0/${kernel}/kernel`)!;
    shardings.set(tensor, replicated(tensor.rank));
  }
  const { graph } = shardGraph(block.graph, meshOf(1, 4), shardings);
  assert.deepEqual(trafficOf(graph).map(({ op, count }) => `${op} × ${count}`), ["allReduce × 2"]);
});

Deno.test("a vocabulary that is sharded is neither gathered nor are its logits", () => {
  const block = traceBlock({ sizes: { layers: 0, vocabulary: 64 } });
  const shardings = megatronShardings(block);
  const outputs = block.graph.outputs.map((_, i) => outputSharding(block, i, shardings));
  const { graph } = shardGraph(block.graph, meshOf(1, 2), shardings, outputs);
  const { batch, time, hidden } = tiny;
  // Embeddings and the gradient of the last hidden state, then the largest logit; its sum and the label's travel together.
  const bytes = 4 * (2 * batch * time * hidden + 3 * batch * time);
  assert.deepEqual(trafficOf(graph), [
    { op: "allReduce", meshAxes: ["model"], size: 2, count: 4, bytes, sent: bytes },
  ]);
});

Deno.test("splitAt() tells a block's two all-reduces forward from its two backward", () => {
  const options = { adapter: "none", bare: true, sizes: { layers: 3 } } as const;
  const block = traceBlock(options);
  const shardings = megatronShardings(block);
  const outputs = block.graph.outputs.map((_, i) => outputSharding(block, i, shardings));
  const { graph } = shardGraph(block.graph, meshOf(1, 2), shardings, outputs);
  const { before, after } = splitAt(graph, [graph.outputs[0]!]);
  assert.equal(before.length + after.length, graph.nodes.length);
  const counts = [before, after].map((nodes) => trafficOf({ nodes }).map(({ op, count }) => `${op} × ${count}`));
  assert.deepEqual(counts, [["allReduce × 6"], ["allReduce × 6"]]);
});

Deno.test("liveBytes() drops values after their last use", () => {
  const graph = trace("chain", { x: { shape: [4], dtype: "float32" } }, ({ x }) => {
    const y = x.exp();
    return { z: y.reshape([2, 2]).exp().sum() };
  });
  // y and its exponential, 16 bytes each; the reshape shares y's.
  assert.deepEqual(liveBytes(graph), { inputs: 16, peak: 32 });
});
