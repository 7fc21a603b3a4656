/** Keras's variables, counts and logits, from `test/oracle/make_keras.py` and the presets of KerasHub. */
import assert from "node:assert/strict";
import { type HostTensor, hostTensor } from "@tessera/core";
import { openSafetensors } from "@tessera/files";
import { countParameters, type Variable } from "@tessera/nn";
import { enableLora, gemmaAttentionScale, GemmaBackbone, GemmaCausalLM, type GemmaConfig, openBackend } from "tessera";
import { golden, largestDifference } from "../support/models.ts";

const backend = await openBackend("cpu");

interface Described {
  readonly path: string;
  readonly shape: readonly number[];
}

interface Golden {
  readonly config: Readonly<Record<string, number | boolean | null>>;
  readonly layer_norm_epsilon: number;
  readonly rank: number;
  readonly parameters: number;
  readonly parameters_with_lora: number;
  readonly trainable: number;
  readonly variables: readonly Described[];
  readonly variables_with_lora: readonly Described[];
  readonly trainable_variables: readonly Described[];
}

/** A constructor's arguments in our spelling: `num_layers` becomes `numLayers`. */
function camelCase(fields: Golden["config"]): GemmaConfig {
  const name = (field: string) => field.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
  return Object.fromEntries(
    Object.entries(fields).map(([field, value]) => [name(field), value]),
  ) as unknown as GemmaConfig;
}

function described(variables: Iterable<Variable>): Described[] {
  return Array.from(variables, ({ path, shape }) => ({ path, shape }));
}

const byPath = (a: Described, b: Described) => a.path < b.path ? -1 : 1;

/** Gives a variable, stored in the order of a checkpoint, a value in the order of Keras. */
function setValue(variable: Variable, { data, shape }: HostTensor): void {
  assert.deepEqual(variable.shape, shape, variable.path);
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, n) => product * n, 1));
  const { order, stored } = variable;
  const values = Float32Array.from({ length: data.length }, (_, i) => {
    let [rest, from] = [i, 0];
    for (let axis = order.length - 1; axis >= 0; axis--) {
      const length = stored.shape[axis]!;
      from += (rest % length) * strides[order[axis]!]!;
      rest = Math.floor(rest / length);
    }
    return data[from]!;
  });
  variable.value?.dispose();
  variable.value = backend.upload(hostTensor("float32", stored.shape, values));
}

const folder = golden("keras");
const about: Golden = JSON.parse(await Deno.readTextFile(`${folder}/golden.json`));
const config = { ...camelCase(about.config), layerNormEpsilon: about.layer_norm_epsilon };

Deno.test("a Gemma 2 has Keras's variables: paths, shapes, order, counts", () => {
  const backbone = new GemmaBackbone(config);
  assert.deepEqual(described(backbone.variables).sort(byPath), [...about.variables].sort(byPath));
  assert.equal(countParameters(backbone.variables).total, about.parameters);
});

Deno.test("LoRA adds Keras's variables, and leaves them only to train", () => {
  const backbone = new GemmaBackbone(config);
  enableLora(backbone, { rank: about.rank, layout: "keras" });
  const trainable = backbone.variables.filter((variable) => variable.trainable);
  assert.deepEqual(described(backbone.variables).sort(byPath), [...about.variables_with_lora].sort(byPath));
  assert.deepEqual(described(trainable), about.trainable_variables);
  assert.equal(countParameters(trainable).total, about.trainable);
  assert.equal(countParameters(backbone.variables).total, about.parameters_with_lora);
});

Deno.test("a Gemma 2 with Keras's weights gives Keras's logits, with and without LoRA", async () => {
  const arrays = await openSafetensors(`${folder}/golden.safetensors`);
  const lm = GemmaCausalLM.fromConfig(config, { backend });
  const tokenIds = arrays.read("token_ids") as HostTensor<"int32">;
  const { shape, data: mask } = arrays.read("padding_mask");
  const paddingMask: HostTensor<"bool"> = { shape, dtype: "bool", data: Uint8Array.from(mask) };
  const fill = () => lm.variables.forEach((variable) => setValue(variable, arrays.read(variable.path)));
  const check = async (name: string) => {
    const difference = largestDifference(await lm.score({ tokenIds, paddingMask }), arrays.read(name), mask);
    assert(difference <= 2e-4, `${name} differ by ${difference}`);
  };
  fill();
  await check("logits");
  lm.enableLora({ rank: about.rank, layout: "keras" });
  await check("logits");
  fill();
  await check("lora_logits");
  await lm.mergeLora();
  await check("lora_logits");
  lm.dispose();
  arrays.close();
});

const gemma2 = {
  usePostFfwNorm: true,
  usePostAttentionNorm: true,
  attentionLogitSoftCap: 50,
  finalLogitSoftCap: 30,
  useSlidingWindowAttention: true,
  slidingWindowSize: 4096,
};

/** The presets of KerasHub by their fields: layers, query heads, key heads, hidden, intermediate, head; then parameters. */
const presets: Readonly<Record<string, { fields: readonly number[]; more: Partial<GemmaConfig>; parameters: number }>> =
  {
    gemma_2b_en: { fields: [18, 8, 1, 2048, 32768, 256], more: {}, parameters: 2_506_172_416 },
    gemma_7b_en: { fields: [28, 16, 16, 3072, 49152, 256], more: {}, parameters: 8_537_680_896 },
    gemma2_2b_en: { fields: [26, 8, 4, 2304, 18432, 256], more: gemma2, parameters: 2_614_341_888 },
    gemma2_9b_en: { fields: [42, 16, 8, 3584, 28672, 256], more: gemma2, parameters: 9_241_705_984 },
    gemma2_27b_en: {
      fields: [46, 32, 16, 4608, 73728, 128],
      more: { ...gemma2, queryHeadDimNormalize: false },
      parameters: 27_227_128_320,
    },
    vault_gemma_1b_en: { fields: [26, 4, 4, 1152, 13824, 256], more: {}, parameters: 1_038_741_120 },
  };

function presetConfig(name: string): GemmaConfig {
  const { fields, more } = presets[name]!;
  const [numLayers, numQueryHeads, numKeyValueHeads, hiddenDim, intermediateDim, headDim] = fields as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const sizes = { numLayers, numQueryHeads, numKeyValueHeads, hiddenDim, intermediateDim, headDim };
  return { vocabularySize: 256_000, ...sizes, ...more };
}

for (const [name, { parameters }] of Object.entries(presets)) {
  Deno.test(`${name} has ${parameters} parameters`, () => {
    assert.equal(countParameters(new GemmaBackbone(presetConfig(name)).variables).total, parameters);
  });
}

for (
  const [name, trainable] of [
    ["gemma2_9b_en", 14_536_704],
    ["gemma2_2b_en", 2_928_640],
    ["gemma_2b_en", 1_363_968],
  ] as const
) {
  Deno.test(`LoRA of rank 4 trains ${trainable} parameters of ${name}`, () => {
    const backbone = new GemmaBackbone(presetConfig(name));
    enableLora(backbone, { rank: 4, layout: "keras" });
    assert.equal(countParameters(backbone.variables.filter((variable) => variable.trainable)).total, trainable);
  });
}

Deno.test("Gemma 2 27B scales its scores by 1/√144, the others by 1/√256", () => {
  const scale = (name: string) => gemmaAttentionScale(presetConfig(name));
  assert.equal(scale("gemma2_27b_en"), 144 ** -0.5);
  assert.equal(scale("gemma2_9b_en"), 1 / 16);
  assert.equal(scale("gemma_7b_en"), 1 / 16);
});

Deno.test("summary() shows Gemma 2 27B without its weights", () => {
  const lm = GemmaCausalLM.fromConfig(presetConfig("gemma2_27b_en"), { backend, dtype: "bfloat16" });
  lm.enableLora({ rank: 4, layout: "keras" });
  const summary = lm.summary();
  assert(summary.startsWith('Model: "gemma_causal_lm"\n'), summary);
  for (
    const part of [
      "Total params: 27,267,873,280 (50.9 GiB)",
      "Trainable params: 40,744,960 (155 MiB)",
      "Non-trainable params: 27,227,128,320 (50.7 GiB)",
      "token_embedding/embeddings",
      "1,179,648,000",
      "decoder_block_* × 46",
      "attention/query/kernel",
      "bfloat16[32,4608,128]",
      "float32[16,4608,4]",
    ]
  ) assert(summary.includes(part), `"${part}" is not in\n${summary}`);
  const lines = summary.split("\n");
  for (const line of lines) assert(line.length <= 80, `${line.length} columns: ${line}`);
  // One line per kind of variable, not one for each of the 691 variables.
  assert(lines.length < 30, `${lines.length} lines`);
  lm.dispose();
});
