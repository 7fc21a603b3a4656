/**
 * Propagates and partitions the training step of Gemma 2 27B, with the published layout map, for ever more layers: the time
 * per layer has to stay flat. No value exists, so this needs no weights.
 */
import { liveBytes, type MeshShape, shardGraph, type Sharding, trafficOf } from "@tessera/mesh";
import {
  adamW,
  enableLora,
  formatBytes,
  formatNumber,
  formatTable,
  GemmaBackbone,
  type Graph,
  iota,
  shownPositions,
  type Tensor,
  type TracedProgram,
  traceTrainStep,
  type Variable,
} from "tessera";

const layerCounts = [2, 8, 23, 46];
const mesh: MeshShape = { axes: [{ name: "batch", size: 16 }, { name: "model", size: 16 }] };

/** The published map, on logical axes. */
const layouts: readonly (readonly [RegExp, readonly (string | null)[]])[] = [
  [/token_embedding.embeddings/, ["model", "batch"]],
  [/attention.(query|key|value).kernel/, ["model", "batch", null]],
  [/attention_output.kernel/, ["model", null, "batch"]],
  [/ffw_gating(_2)?.kernel/, ["batch", "model"]],
  [/ffw_linear.kernel/, ["model", "batch"]],
  // Factors of adapters: those of the axis that the kernel splits.
  [/attention.(query|key|value).lora.*b/, [null, "model", null]],
  [/attention_output.lora.*a/, ["model", null, null]],
  [/ffw_gating(_2)?.lora.*b/, [null, "model"]],
  [/ffw_linear.lora.*a/, ["model", null]],
];

function shardingOf({ path, shape, order, stored }: Variable): Sharding {
  const spec = layouts.find(([pattern]) => pattern.test(path))?.[1] ?? [];
  const isSame = spec.length === shape.length;
  return { dims: stored.shape.map((_, i) => isSame && spec[order[i]!] ? [spec[order[i]!]!] : []), partial: [] };
}

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
    forward: ({ tokenIds, paddingMask }: { readonly tokenIds: Tensor; readonly paddingMask: Tensor }) =>
      backbone.logits(backbone.hidden({
        tokenIds,
        positions: iota(tokenIds.shape, 1),
        keyPositions: shownPositions(paddingMask),
        cache: null,
      })),
  };
  return traceTrainStep(model, adamW({ learningRate: 1e-4, globalClipNorm: 1 }), 32, 1024);
}

function knownShardings({ graph, batch, variables, outputs, updated }: TracedProgram) {
  const known = new Map<Tensor, Sharding>();
  graph.inputs.forEach((tensor, i) => {
    const variable = variables[i - batch.length];
    const dims = tensor.rank === 2 ? [["batch"], []] : tensor.shape.map(() => []);
    known.set(tensor, variable === undefined ? { dims, partial: [] } : shardingOf(variable));
  });
  return { known, wanted: [...outputs.map(() => null), ...updated.map(shardingOf)] };
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
    for (const layers of layerCounts) {
      const [program, tracing] = timed(() => traceStep(layers, lora));
      const { known, wanted } = knownShardings(program);
      const [local, time] = timed(() => shardGraph(program.graph, mesh, known, wanted));
      slowest = Math.max(slowest, time);
      const seconds = (ms: number) => formatNumber(ms / 1000);
      rows.push([
        lora ? "LoRA" : "full",
        `${layers}`,
        `${program.graph.nodes.length}`,
        `${local.graph.nodes.length}`,
        seconds(tracing),
        seconds(time),
        formatNumber(time / layers),
        formatBytes(liveBytes(local.graph).peak),
      ]);
      if (layers === layerCounts[0]) console.log(`${lora ? "LoRA" : "Full"}, ${layers} layers: ${sent(local.graph)}`);
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }
  const headers = ["Training", "Layers", "Nodes", "Local nodes", "Trace s", "Shard s", "ms/layer"];
  console.log(formatTable(rows, { columns: [...headers, "Live bytes"].map((header) => ({ header })) }));
  console.log(`Memory: ${formatBytes(Deno.memoryUsage().rss)}`);
  return slowest < 20_000;
}

/** The benchmark of the sharding compiler. */
export const partition = { purpose: "The sharding compiler on Gemma 2 27B, from 2 to 46 layers", run };
