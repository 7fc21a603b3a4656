/** Adapters that cannot be: what enabling, saving and loading say, and that what was there stays. */
import assert from "node:assert/strict";
import { type HostTensor, hostTensor } from "@tessera/core";
import { openSafetensors, writeSafetensors } from "@tessera/files";
import { loraAdapters } from "@tessera/lora";
import { CausalLM, type LoraOptions, openBackend } from "tessera";
import { assertFails } from "../support/failures.ts";
import { watchBuffers } from "../support/live_buffers.ts";
import { tinyModel, withFolder } from "../support/models.ts";

const { backend, live } = watchBuffers(await openBackend("cpu"));

function withModel(name: string, run: (lm: CausalLM, folder: string) => Promise<void>): void {
  Deno.test(name, async () => {
    const lm = tinyModel(backend);
    try {
      await withFolder((folder) => run(lm, folder));
    } finally {
      lm.dispose();
    }
  });
}

for (
  const [options, kind, words] of [
    [{ rank: 0 }, RangeError, ["rank", "found 0"]],
    [{ rank: -4 }, RangeError, ["rank", "found -4"]],
    [{ rank: 1.5 }, RangeError, ["rank", "found 1.5"]],
    [{ rank: NaN }, RangeError, ["rank", "found NaN"]],
    [{ rank: 100_000 }, RangeError, ["rank 100,000", "decoder_block_0/attention/query/kernel", "4, 32, 12"]],
    [{ rank: 2, alpha: -1 }, RangeError, ["alpha", "found -1"]],
    [{ rank: 2, alpha: 0 }, RangeError, ["alpha", "found 0"]],
    [{ rank: 2, alpha: NaN }, RangeError, ["alpha", "found NaN"]],
    [{ rank: 2, alpha: Infinity }, RangeError, ["alpha", "found Infinity"]],
    [{ rank: 2, seed: -1 }, RangeError, ["seed", "found -1"]],
    [{ rank: 2, layout: "hf" as "peft" }, RangeError, ['layout "hf"', '"keras"', '"peft"']],
    [{ rank: 2, targets: "qeury" }, Error, ['"qeury" matches no layer', 'did you mean "query"', '"ffw_gating"']],
    [{ rank: 2, targets: ["query", /valeu/] }, Error, ['"valeu" matches no layer', 'did you mean "value"']],
    [{ rank: 2, targets: "c_attn" }, Error, [
      '"c_attn" matches no layer',
      '"attention_output"',
      "decoder_block_0/",
      '"o_proj"',
    ]],
    [{ rank: 2, targets: "qkv_proj" }, Error, ['"qkv_proj" matches no layer', 'did you mean "q_proj"', '"k_proj"']],
    [{ rank: 2, targets: ["q_proj", "v_prj"] }, Error, ['"v_prj" matches no layer', 'did you mean "v_proj"']],
    [{ rank: 2, targets: [] }, Error, ["targets", "no layer"]],
    [{ rank: 2, targets: "que(ry" }, SyntaxError, ['"que(ry"', "not a regular expression"]],
  ] satisfies [LoraOptions & { seed?: number }, new (message: string) => Error, string[]][]
) {
  const shown = Object.entries(options).map(([name, value]) => `${name} ${value}`).join(", ");
  withModel(`enableLora() rejects ${shown}, and changes nothing`, async (lm) => {
    await assertFails(() => lm.enableLora(options), kind, words);
    assert.equal(loraAdapters(lm).length, 0);
    assert(lm.variables.every(({ trainable }) => trainable));
  });
}

withModel("enableLora() rejects a model that has adapters", async (lm) => {
  lm.enableLora({ rank: 2 });
  await assertFails(() => lm.enableLora({ rank: 2 }), Error, ["has adapters already", "merge or unload"]);
  assert.equal(loraAdapters(lm).length, 4);
});

withModel("mergeLora() and saveAdapter() reject a model without adapters", async (lm, folder) => {
  await assertFails(() => lm.mergeLora(), Error, ["no adapters", "enable or load"]);
  await assertFails(() => lm.saveAdapter(folder), Error, ["has none", "enable LoRA"]);
});

withModel("saveToPreset() rejects a model with adapters, and says what to do", async (lm, folder) => {
  lm.enableLora({ rank: 2 });
  await assertFails(() => lm.saveToPreset(`${folder}/out`), Error, [`${folder}/out`, "mergeLora()", "saveAdapter()"]);
  await assert.rejects(Deno.stat(`${folder}/out`), Deno.errors.NotFound);
});

withModel("saveAdapter() rejects Keras's layout, and leaves the adapter that is there", async (lm, folder) => {
  lm.enableLora({ rank: 2, layout: "peft" });
  await lm.saveAdapter(folder);
  const before = await contents(folder);
  lm.unloadLora();
  lm.enableLora({ rank: 3, layout: "keras" });
  await assertFails(() => lm.saveAdapter(folder), Error, ["Keras's layout", 'layout: "peft"']);
  assert.deepEqual(await contents(folder), before);
});

withModel("saveAdapter() that fails half-way leaves the adapter that is there", async (lm, folder) => {
  lm.enableLora({ rank: 2, layout: "peft" });
  await lm.saveAdapter(folder);
  const before = await contents(folder);
  const { adapter } = loraAdapters(lm).at(-1)!;
  adapter.b.value = {
    ...adapter.b.value!,
    dispose: () => {},
    read: () => Promise.reject(new Error("The disk is full")),
  };
  await assert.rejects(lm.saveAdapter(folder), { message: "The disk is full" });
  assert.deepEqual(await contents(folder), before);
});

async function contents(folder: string): Promise<Map<string, Uint8Array>> {
  const names = Array.from(Deno.readDirSync(folder), ({ name }) => name).sort();
  return new Map(
    await Promise.all(names.map(async (name) => [name, await Deno.readFile(`${folder}/${name}`)] as const)),
  );
}

async function changeTensors(folder: string, change: (tensors: Map<string, HostTensor>) => void): Promise<void> {
  const path = `${folder}/adapter_model.safetensors`;
  const file = await openSafetensors(path);
  const tensors = new Map([...file.tensors.keys()].map((name) => [name, file.read(name)]));
  change(tensors);
  await writeSafetensors(path, Array.from(tensors, ([name, type]) => ({ name, type, read: () => type })));
  file.close();
}

async function changeConfig(folder: string, changes: Record<string, unknown>): Promise<void> {
  const path = `${folder}/adapter_config.json`;
  const config = { ...JSON.parse(await Deno.readTextFile(path)), ...changes };
  await Deno.writeTextFile(path, JSON.stringify(config));
}

const queryA = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
const queryB = queryA.replace("lora_A", "lora_B");
const lastB = "base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight";

/** Spoils a good adapter, and requires that loading it fails and leaves the model's own adapter in place and working. */
function loadFails(
  what: string,
  spoil: (folder: string) => Promise<void>,
  kind: new (message: string) => Error,
  parts: readonly string[],
): void {
  withModel(`loadAdapter() rejects ${what}, and leaves the model's own adapter`, async (lm, folder) => {
    lm.enableLora({ rank: 2, layout: "peft" });
    await lm.saveAdapter(folder);
    lm.unloadLora();
    await spoil(folder);
    await assertFails(() => lm.loadAdapter(folder), kind, parts.map((part) => part.replace("FOLDER", folder)));
    assert.equal(loraAdapters(lm).length, 0);
    assert(lm.variables.every(({ trainable }) => trainable));

    lm.enableLora({ rank: 3, targets: "ffw_linear" });
    for (const { adapter } of loraAdapters(lm)) {
      const { shape } = adapter.b.stored;
      await adapter.b.value!.write(hostTensor("float32", shape, new Float32Array(adapter.b.size).fill(0.1)));
    }
    const own = loraAdapters(lm).map(({ adapter }) => adapter);
    const buffers = live.size;
    const logits = await lm.score({ tokenIds: [[5, 6, 7]] });
    await assert.rejects(lm.loadAdapter(folder));
    assert.equal(live.size, buffers, "what was read before the failure stays allocated");
    assert.deepEqual(loraAdapters(lm).map(({ adapter }) => adapter), own);
    assert.deepEqual(await lm.score({ tokenIds: [[5, 6, 7]] }), logits);
  });
}

loadFails("a folder without weights", (folder) => Deno.remove(`${folder}/adapter_model.safetensors`), Error, [
  "FOLDER/adapter_model.safetensors",
]);
loadFails("a folder without config", (folder) => Deno.remove(`${folder}/adapter_config.json`), Error, [
  "FOLDER/adapter_config.json",
  "there is no such file",
]);
loadFails(
  "truncated weights",
  async (folder) => {
    const path = `${folder}/adapter_model.safetensors`;
    await Deno.writeFile(path, (await Deno.readFile(path)).slice(0, -8));
  },
  RangeError,
  ["FOLDER/adapter_model.safetensors", "truncated"],
);
loadFails(
  "modules of another model",
  (folder) =>
    changeTensors(folder, (tensors) => {
      tensors.set(queryA.replace("layers.0", "layers.7"), tensors.get(queryA)!);
    }),
  Error,
  ["FOLDER", '"model.layers.7.self_attn.q_proj"', 'nearest is "model.layers.0.self_attn.q_proj"', "base model"],
);
loadFails(
  "tensors that are no factors",
  (folder) =>
    changeTensors(folder, (tensors) => {
      tensors.set("base_model.model.lm_head.weight", hostTensor("float32", [1], new Float32Array(1)));
    }),
  Error,
  ["FOLDER", '"base_model.model.lm_head.weight"', "no LoRA factor"],
);
loadFails(
  "one factor without the other",
  (folder) => changeTensors(folder, (tensors) => tensors.delete(queryB)),
  Error,
  [
    "FOLDER",
    "decoder_block_0/attention/query",
    "lora_A but not the other",
  ],
);
loadFails(
  "a factor of another rank, the last one to be read",
  (folder) =>
    changeTensors(folder, (tensors) => tensors.set(lastB, hostTensor("float32", [24, 3], new Float32Array(72)))),
  TypeError,
  [
    "FOLDER",
    lastB,
    "[24,2]",
    "[24,3]",
  ],
);
loadFails("another rank in the config", (folder) => changeConfig(folder, { r: 4 }), TypeError, [
  queryA,
  "[4,32]",
  "[2,32]",
  '"r"',
]);
loadFails(
  "integer factors",
  (folder) => changeTensors(folder, (tensors) => tensors.set(queryA, hostTensor("int32", [2, 32], new Int32Array(64)))),
  TypeError,
  [
    queryA,
    "floating-point",
    "int32",
  ],
);
loadFails(
  "factors of two adapters",
  (folder) =>
    changeTensors(folder, (tensors) => {
      tensors.set(queryA.replace("lora_A", "lora_A.second"), tensors.get(queryA)!);
    }),
  Error,
  ["FOLDER", queryA, "lora_A.second.weight", "two adapters"],
);
for (
  const [changes, fault] of [
    [{ target_modules: ["v_proj"] }, '"target_modules" does not name it'],
    [{ target_modules: ["proj"] }, '"target_modules" does not name it'],
    [{ target_modules: ".*\\.v_proj" }, '"target_modules" does not name it'],
    [{ exclude_modules: ["self_attn.q_proj"] }, '"exclude_modules" names it'],
    [{ exclude_modules: ".*q_proj" }, '"exclude_modules" names it'],
    [{ layers_to_transform: 1 }, '"layers_to_transform" does not name its layer'],
    [{ layers_to_transform: [1, 7], layers_pattern: "layers" }, '"layers_to_transform" does not name its layer'],
    [{ layers_to_transform: [0, 1], layers_pattern: ["h"] }, '"layers_to_transform" does not name its layer'],
  ] satisfies [Record<string, unknown>, string][]
) {
  loadFails(
    `factors that PEFT leaves out by ${JSON.stringify(changes)}`,
    (folder) => changeConfig(folder, changes),
    Error,
    [
      "FOLDER",
      "model.layers.0.self_attn.q_proj",
      fault,
    ],
  );
}
loadFails("an adapter without tensors", (folder) => changeTensors(folder, (tensors) => tensors.clear()), Error, [
  "FOLDER",
  "holds no tensors",
]);

for (
  const [changes, words] of [
    [{ peft_type: "IA3" }, ['"peft_type" is "IA3"', "LORA"]],
    [{ use_dora: true }, ['"use_dora" is true', "DoRA", "merge_and_unload()"]],
    [{ bias: "all" }, ['"bias" is "all"', "biases"]],
    [{ lora_bias: true }, ['"lora_bias" is true', "biases"]],
    [{ modules_to_save: ["lm_head"] }, ['"modules_to_save" is ["lm_head"]', "trained whole"]],
    [{ trainable_token_indices: [3] }, ['"trainable_token_indices" is [3]', "embeddings"]],
    [{ target_parameters: ["experts.down_proj"] }, ['"target_parameters"', "parameters that are no module's weight"]],
    [{ layer_replication: [[0, 1], [0, 2]] }, ['"layer_replication" is [[0,1],[0,2]]', "several times"]],
    [{ kasa_config: { beta: 1e-4, gamma: 1e-3 } }, ['"kasa_config"', "KaSA"]],
    [{ use_bdlora: { nblocks: 2 } }, ['"use_bdlora"', "block-diagonal"]],
    [{ monteclora_config: { num_samples: 8 } }, ['"monteclora_config"', "sampled"]],
    [{ kasa_config: {} }, ['"kasa_config" is {}', "KaSA"]],
    [{ velora_config: { num_groups: 4 } }, ['"velora_config"', "VeLoRA"]],
    [{ arrow_config: { top_k: 3 } }, ['"arrow_config"', "routes between"]],
    [{ alora_invocation_tokens: [5, 6] }, ['"alora_invocation_tokens" is [5,6]', "activated LoRA"]],
    [{ use_qalora: true }, ['"use_qalora" is true', "QA-LoRA"]],
    [{ megatron_config: { hidden_size: 8 } }, ['"megatron_config"', "Megatron"]],
    ...["pissa", "pissa_niter_16", "olora", "OLoRA", "corda", "lora_ga"].map((
      name,
    ): [Record<string, unknown>, string[]] => [
      { init_lora_weights: name },
      [
        `"init_lora_weights" is "${name}"`,
        "changes the weights of the base",
        "path_initial_model_for_weight_conversion",
        "to true",
      ],
    ]),
    [{ init_lora_weights: "loftq" }, [
      '"init_lora_weights" is "loftq"',
      "changes the weights of the base",
      "save the changed base",
    ]],
    [{ init_lora_weights: "pisa" }, ['"init_lora_weights" is "pisa"', "no such initialization", '"gaussian"']],
    [{ rank_pattern: { q_proj: 0 } }, ['"rank_pattern.q_proj" is 0']],
    [{ alpha_pattern: { "(q_proj": 4 } }, ['"alpha_pattern.(q_proj" is 4', "no regular expression"]],
    [{ rank_pattern: { "(a+)+": 4 } }, ['"rank_pattern.(a+)+"', "repeats a group"]],
    [{ rank_pattern: { ".*.*.*.*x": 4 } }, ['"rank_pattern..*.*.*.*x"', "more than 3 repetitions"]],
    [{ r: 0 }, ['"r" is 0']],
    [{ lora_alpha: -1 }, ['"lora_alpha" is -1']],
    [{ lora_alpha: undefined, lora_alhpa: 4 }, ['"lora_alhpa"', 'did you mean "lora_alpha"']],
  ] satisfies [Record<string, unknown>, string[]][]
) {
  loadFails(`a config with ${JSON.stringify(changes)}`, (folder) => changeConfig(folder, changes), TypeError, [
    "FOLDER/adapter_config.json",
    ...words,
  ]);
}

withModel("loadAdapter() replaces an adapter, and frees it", async (lm, folder) => {
  lm.enableLora({ rank: 2, layout: "peft", seed: 3 });
  await lm.saveAdapter(folder);
  const old = loraAdapters(lm).map(({ adapter }) => adapter);
  await lm.loadAdapter(folder);
  assert(old.every(({ a, b }) => a.value === null && b.value === null));
  assert.deepEqual(loraAdapters(lm).map(({ adapter }) => adapter.rank), [2, 2, 2, 2]);
  assert.equal(lm.variables.filter(({ trainable }) => trainable).length, 8);
});

withModel("loadAdapter() scales by alpha over the root of the rank where the adapter says so", async (lm, folder) => {
  lm.enableLora({ rank: 4, alpha: 4, layout: "peft" });
  await lm.saveAdapter(folder);
  await changeConfig(folder, { use_rslora: true });
  await lm.loadAdapter(folder);
  assert.deepEqual(loraAdapters(lm).map(({ adapter }) => adapter.alpha / adapter.rank), [2, 2, 2, 2]);
});

withModel(
  "loadAdapter() takes fields that change nothing, and says those that are unknown or change training only",
  async (lm, folder) => {
    lm.enableLora({ rank: 2 });
    await lm.saveAdapter(folder);
    const warnings = async (changes: Record<string, unknown>) => {
      const before = await Deno.readTextFile(`${folder}/adapter_config.json`);
      await changeConfig(folder, changes);
      const said: string[] = [];
      await lm.loadAdapter(folder, { onWarning: (message) => said.push(message) });
      await Deno.writeTextFile(`${folder}/adapter_config.json`, before);
      return said;
    };
    const idle = {
      megatron_core: "megatron.core",
      qalora_group_size: 16,
      loftq_config: { loftq_bits: 4 },
      fan_in_fan_out: true,
    };
    assert.deepEqual(await warnings(idle), []);
    assert.deepEqual(
      await warnings({ layers_to_transform: [0, 1], exclude_modules: ["k_proj"], a_new_field: null }),
      [],
    );
    assert.deepEqual(
      await warnings({ target_modules: "(?:.*?(?:language|text)|.*).*?(?:self_attn).*?(?:q_proj|v_proj)" }),
      [],
    );
    for (const init_lora_weights of [true, false, "gaussian", "eva", "orthogonal"]) {
      assert.deepEqual(await warnings({ init_lora_weights }), []);
    }
    const file = `"${folder}/adapter_config.json"`;
    assert.deepEqual(await warnings({ use_future_lora: true }), [
      `${file}: "use_future_lora" is true, a field that Tessera does not know and does not compute`,
    ]);
    assert.deepEqual(await warnings({ lora_dropout: 0.1 }), [
      `${file}: "lora_dropout" is 0.1, which changes training only: here adapters are trained without dropout`,
    ]);
    assert.deepEqual(await warnings({ init_lora_weights: "mica" }), [
      `${file}: "init_lora_weights" is "mica", which changes training only: here B is trained, too`,
    ]);
  },
);

withModel("loadAdapter() takes factors that have the name of their adapter", async (lm, folder) => {
  lm.enableLora({ rank: 2, seed: 5 });
  await lm.saveAdapter(folder);
  const a = await loraAdapters(lm)[0]!.adapter.a.value!.read();
  await changeTensors(folder, (tensors) => {
    for (const [name, tensor] of [...tensors]) {
      tensors.delete(name);
      tensors.set(name.replace(/(lora_[AB])/, "$1.default"), tensor);
    }
  });
  await lm.loadAdapter(folder);
  assert.equal(loraAdapters(lm).length, 4);
  assert.deepEqual((await loraAdapters(lm)[0]!.adapter.a.value!.read()).data, a.data);
});

withModel("saveToPreset() can save to the folder that the model came from", async (lm, folder) => {
  await lm.saveToPreset(folder);
  await Deno.writeTextFile(`${folder}/generation_config.json`, '{"eos_token_id": 7}');
  const loaded = await CausalLM.fromPreset(folder, { backend });
  const logits = await loaded.score({ tokenIds: [[5, 6, 7]] });
  await loaded.saveToPreset(folder);
  assert.equal(await Deno.readTextFile(`${folder}/generation_config.json`), '{"eos_token_id": 7}');
  assert.deepEqual(await loaded.score({ tokenIds: [[5, 6, 7]] }), logits);
  loaded.dispose();
  const again = await CausalLM.fromPreset(folder, { backend });
  assert.deepEqual(await again.score({ tokenIds: [[5, 6, 7]] }), logits);
  again.dispose();
});
