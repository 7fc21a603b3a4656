/**
 * Propagates and partitions the training step of Gemma 2 27B, with the published layout map, for ever more layers: the time
 * per layer has to stay flat. No value exists, so this needs no weights.
 */
import { type Graph, iota, type Tensor } from "@tessera/core";
import { DeviceMesh, liveBytes, ModelParallel, trafficOf, virtualDevices } from "@tessera/mesh";
import { shownPositions } from "@tessera/models";
import { shardProgram, type TracedProgram } from "@tessera/nn";
import { formatBytes, formatNumber, formatTable } from "@tessera/text";
import { traceTrainStep } from "@tessera/train";
import { adamW, enableLora, GemmaBackbone } from "tessera";

const layerCounts = [2, 8, 23, 46];
const mesh = new DeviceMesh([16, 16], ["batch", "model"], virtualDevices(256));
const distribution = new ModelParallel({ layoutMap: GemmaBackbone.getLayoutMap(mesh), batchDimName: "batch" });

function traceStep(numLayers: number, lora: boolean): TracedProgram {
  const backbone = new GemmaBackbone({
    vocabularySize: 256_000,
    numLayers,
    numQueryHeads: 32,
    numKeyValueHeads: 16,
    hiddenDim: 4608,
    intermediateDim: 73_728,
    headDim: 128,
    attentionLogitSoftCap: 50,
    finalLogitSoftCap: 30,
    useSlidingWindowAttention: true,
    slidingWindowSize: 4096,
    usePostFfwNorm: true,
    usePostAttentionNorm: true,
  }, { dtype: "bfloat16" });
  if (lora) enableLora(backbone, { rank: 8, layout: "peft", targets: ".*" });
  const model = {
    name: "gemma",
    vocabularySize: backbone.vocabularySize,
    get variables() {
      return backbone.variables;
    },
    hidden: ({ tokenIds, paddingMask }: { readonly tokenIds: Tensor; readonly paddingMask: Tensor }) =>
      backbone.hidden({
        tokenIds,
        positions: iota(tokenIds.shape, 1),
        keyPositions: shownPositions(paddingMask),
        cache: null,
      }),
    logits: (hidden: Tensor) => backbone.logits(hidden),
  };
  return traceTrainStep(model, adamW({ learningRate: 1e-4, globalClipNorm: 1 }), 32, 1024);
}

function timed<T>(body: () => T): [T, number] {
  const start = performance.now();
  return [body(), performance.now() - start];
}

function sent(graph: Graph): string {
  return trafficOf(graph).map(({ op, meshAxes, count, sent }) =>
    `${count} ${op}(${meshAxes.join(" ")}) ${formatBytes(sent)}`
  ).join(", ");
}

/** Runs the benchmark; false when a graph takes 20 s or more. */
async function run(): Promise<boolean> {
  const rows: string[][] = [];
  let slowest = 0;
  for (const lora of [true, false]) {
    // The first graph of a kind also pays for compiling our own code.
    shardProgram(traceStep(1, lora), distribution);
    let before = { layers: 0, time: 0 };
    for (const layers of layerCounts) {
      const [program, tracing] = timed(() => traceStep(layers, lora));
      const [local, time] = timed(() => shardProgram(program, distribution));
      slowest = Math.max(slowest, time);
      const seconds = (ms: number) => formatNumber(ms / 1000);
      const added = (time - before.time) / (layers - before.layers);
      before = { layers, time };
      rows.push([
        lora ? "LoRA" : "full",
        `${layers}`,
        `${program.graph.nodes.length}`,
        `${local.graph.nodes.length}`,
        seconds(tracing),
        seconds(time),
        formatNumber(time / layers),
        formatNumber(added),
        formatBytes(liveBytes(local.graph).peak),
      ]);
      if (layers === layerCounts[0]) console.log(`${lora ? "LoRA" : "Full"}, ${layers} layers: ${sent(local.graph)}`);
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }
  const headers = ["Training", "Layers", "Nodes", "Local nodes", "Trace s", "Shard s", "ms/layer", "ms/added layer"];
  console.log(formatTable(rows, { columns: [...headers, "Live bytes"].map((header) => ({ header })) }));
  console.log(`Memory: ${formatBytes(Deno.memoryUsage().rss)}`);
  return slowest < 20_000;
}

/** The benchmark of the sharding compiler. */
export const partition = { purpose: "The sharding compiler on Gemma 2 27B, from 2 to 46 layers", run };
