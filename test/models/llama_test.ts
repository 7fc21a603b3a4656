/** Llama as a task: presets, folders that are saved and loaded again, and folders that do not fit. */
import assert from "node:assert/strict";
import type { HostTensor } from "@tessera/core";
import { openCheckpoint, openSafetensors } from "@tessera/files";
import { buildPreset, CausalLM, Llama3Backbone, Llama3CausalLM, openBackend } from "tessera";
import { withChanged } from "../support/changed_checkpoint.ts";
import { assertFails } from "../support/failures.ts";
import { watchBuffers } from "../support/live_buffers.ts";
import { golden, largestDifference, withFolder } from "../support/models.ts";

const backend = await openBackend("cpu");

const names = [...Deno.readDirSync(golden("llama"))].map(({ name }) => name);

/** The logits of a folder for the tokens of a golden. */
async function logitsOf(folder: string, name: string): Promise<HostTensor> {
  const file = await openSafetensors(golden(`llama/${name}/golden.safetensors`));
  const lm = await Llama3CausalLM.fromPreset(folder, { backend });
  try {
    return await lm.score({ tokenIds: file.read("input_ids") as HostTensor<"int32"> });
  } finally {
    lm.dispose();
    file.close();
  }
}

for (const name of names) {
  Deno.test(`${name} is the same after it is saved and loaded again`, async () => {
    await withFolder(async (folder) => {
      const lm = await CausalLM.fromPreset(golden(`llama/${name}`), { backend });
      await lm.saveToPreset(folder);
      lm.dispose();
      const [saved, from] = await Promise.all([openCheckpoint(folder), openCheckpoint(golden(`llama/${name}`))]);
      // A tied head is written once.
      const kept = [...from.tensors.keys()].filter((tensor) => !name.includes("tied") || tensor !== "lm_head.weight");
      assert.deepEqual([...saved.tensors.keys()].sort(), kept.sort());
      saved.close();
      from.close();
      const before = await logitsOf(golden(`llama/${name}`), name);
      assert.equal(largestDifference(await logitsOf(folder, name), before), 0);
    });
  });
}

Deno.test("Llama3CausalLM makes a preset without its files, in Keras's names and numbers", async () => {
  const { backbone } = buildPreset("llama3.1_8b", { dtype: "bfloat16" });
  assert(backbone instanceof Llama3Backbone);
  const lm = Llama3CausalLM.fromConfig(backbone.config, { backend, dtype: "bfloat16" });
  lm.enableLora({ rank: 4, layout: "keras" });
  const summary = lm.summary();
  for (
    const part of [
      'Model: "llama3_causal_lm"',
      "Non-trainable params: 8,030,261,248 (15.0 GiB)",
      "token_embedding/reverse_embeddings",
      "transformer_layer_* × 32",
      "bfloat16[4096,32,128]",
      "self_attention/query/lora_kernel_a",
      "float32[4096,32,4]",
    ]
  ) assert(summary.includes(part), `"${part}" is not in\n${summary}`);
  lm.dispose();
  await assertFails(() => CausalLM.fromPreset("llama3.1_70b", { backend }), RangeError, [
    "llama3.1_70b",
    "did you mean",
  ]);
});

Deno.test("Llama3CausalLM.fromPreset() rejects a Gemma, and keeps nothing of it", async () => {
  const { backend: counted, live } = watchBuffers(backend);
  const folder = golden("gemma/gemma1_mha");
  await assertFails(() => Llama3CausalLM.fromPreset(folder, { backend: counted }), TypeError, [
    folder,
    "it is a gemma_causal_lm",
    "CausalLM.fromPreset",
  ]);
  assert.equal(live.size, 0);
});

const tied = "llama32_tied_head_in_file_old";
const tiedFolder = `llama/${tied}`;

Deno.test("a tied Llama loads from whichever of its two names the embedding is stored under", async () => {
  const expected = await logitsOf(golden(`llama/${tied}`), tied);
  for (const absent of ["lm_head.weight", "model.embed_tokens.weight"]) {
    await withChanged(tiedFolder, { tensors: (tensors) => tensors.delete(absent) }, async (folder) => {
      assert.equal(largestDifference(await logitsOf(folder, tied), expected), 0);
    });
  }
});

Deno.test("fromPreset() rejects a head that its config ties to the embedding and that differs from it", async () => {
  const change = (tensors: Map<string, HostTensor>) => {
    const head = tensors.get("lm_head.weight")!;
    tensors.set(
      "lm_head.weight",
      { ...head, data: head.data.map((value, i) => i === 999 ? value + 1 : value) } as HostTensor,
    );
  };
  await withChanged(tiedFolder, { tensors: change }, async (folder) => {
    const { backend: counted, live } = watchBuffers(backend);
    await assertFails(() => CausalLM.fromPreset(folder, { backend: counted }), TypeError, [
      folder,
      '"lm_head.weight" differs from "model.embed_tokens.weight"',
      '"tie_word_embeddings": false',
    ]);
    assert.equal(live.size, 0);
  });
  await withChanged(tiedFolder, { tensors: change, config: { tie_word_embeddings: false } }, async (folder) => {
    const lm = await Llama3CausalLM.fromPreset(folder, { backend });
    assert.equal(lm.backbone.config.tieWordEmbeddings, false);
    lm.dispose();
  });
});

for (
  const [what, config, kind, parts] of [
    [
      "no head although it is not tied",
      { tie_word_embeddings: false },
      Error,
      ["lacks 1 of", '"lm_head.weight" (for "token_embedding/reverse_embeddings")'],
    ],
    ["another width of heads", { head_dim: 8 }, TypeError, ["q_proj.weight", "[64,32]", "[128,32]"]],
    [
      "rotary scaling of another kind",
      { rope_parameters: { rope_type: "longrope", factor: 4, rope_theta: 500 } },
      TypeError,
      ['"rope_parameters" has the type "longrope"', "config.json"],
    ],
    [
      "biases that are not in the file",
      { attention_bias: true },
      Error,
      ["lacks 12 of", "model.layers.0.self_attn.q_proj.bias", '(for "transformer_layer_0/self_attention/query/bias")'],
    ],
    ["a misspelled field", { rms_norm_eps: undefined, rms_nrom_eps: 1e-5 }, TypeError, [
      'did you mean "rms_norm_eps"?',
    ]],
  ] as const
) {
  Deno.test(`fromPreset() rejects a Llama with ${what}`, async () => {
    await withChanged("llama/llama32_tied_padded", { config }, async (folder) => {
      const { backend: counted, live } = watchBuffers(backend);
      await assertFails(() => CausalLM.fromPreset(folder, { backend: counted }), kind, [folder, ...parts]);
      assert.equal(live.size, 0);
    });
  });
}
