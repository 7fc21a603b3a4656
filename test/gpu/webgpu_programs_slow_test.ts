/** The programs of real models at real sizes, gone through without data: what some GPU cannot take, or an i32 not count, is found. */
import assert from "node:assert/strict";
import { traceTraining } from "@tessera/models";
import { donations } from "@tessera/nn";
import { checkPrograms } from "@tessera/wgsl-threads";
import {
  adamW,
  type Backbone,
  buildPreset,
  enableLora,
  GemmaBackbone,
  Llama3Backbone,
  PaliGemmaBackbone,
  type PresetName,
} from "tessera";

/** A published model with two of its blocks, whose arrays are as large as those of all. */
function twoBlocks(name: PresetName, options: BackboneOptions): Backbone {
  const { backbone } = buildPreset(name, {});
  const numLayers = 2;
  if (backbone instanceof GemmaBackbone) return new GemmaBackbone({ ...backbone.config, numLayers }, options);
  if (backbone instanceof Llama3Backbone) return new Llama3Backbone({ ...backbone.config, numLayers }, options);
  assert(backbone instanceof PaliGemmaBackbone);
  const { text, vision, ...config } = backbone.config;
  const small = { ...config, text: { ...text, numLayers }, vision: { ...vision, numLayers } };
  return new PaliGemmaBackbone(small, options);
}

/** What most GPUs bind at once in a browser, and what WebGPU promises. */
const [much, least] = [2 ** 31 - 2 ** 20, 2 ** 27];

type BackboneOptions = NonNullable<ConstructorParameters<typeof GemmaBackbone>[1]>;

interface Case extends BackboneOptions {
  readonly preset: PresetName;
  /** The rank of adapters; `null` trains all weights. */
  readonly rank?: number | null;
  readonly batch: readonly [rows: number, length: number];
  readonly maxBindingBytes?: number;
  readonly programs?: "gpu" | "processor";
}

const cases: readonly Case[] = [
  { preset: "gemma2_2b_en", batch: [4, 512] },
  { preset: "gemma2_2b_en", batch: [4, 512], maxBindingBytes: least },
  { preset: "gemma2_2b_en", batch: [4, 512], maxBindingBytes: least, programs: "processor" },
  { preset: "gemma2_2b_en", batch: [1, 8192], dtype: "bfloat16" },
  { preset: "gemma2_9b_en", batch: [2, 1024], dtype: "bfloat16" },
  { preset: "gemma2_27b_en", batch: [1, 1024], dtype: "bfloat16" },
  { preset: "gemma2_27b_en", batch: [1, 3] },
  { preset: "llama3_8b_en", batch: [4, 1024], quantize: "int4" },
  { preset: "llama3.2_1b", batch: [8, 512], rank: null },
  { preset: "pali_gemma2_pt_3b_896", batch: [1, 4200] },
];

for (const { preset, rank = 8, batch, maxBindingBytes = much, programs = "gpu", ...options } of cases) {
  const weights = options.quantize ?? options.dtype ?? "float32";
  const how = `${rank === null ? "all of it" : "LoRA"}, ${weights}, ${batch.join(" × ")} tokens, ${
    maxBindingBytes / 2 ** 20
  } MiB, ${programs}`;
  Deno.test(`The programs of a step of ${preset} fit every GPU: ${how}`, async () => {
    const backbone = twoBlocks(preset, options);
    if (rank !== null) enableLora(backbone, { rank, targets: ".*" });
    const [batchSize, length] = batch;
    const { step } = traceTraining({ backbone, optimizer: adamW({ learningRate: 1e-4 }), batchSize, length }, 1);
    await checkPrograms(step.graph, { programs, maxBindingBytes, donate: donations(step) });
  });
}
