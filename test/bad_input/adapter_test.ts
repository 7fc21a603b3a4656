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
    [{ rank: 2, targets: "q_proj" }, Error, ['"q_proj" matches no layer', '"attention_output"', "decoder_block_0/"]],
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
loadFails("an adapter without tensors", (folder) => changeTensors(folder, (tensors) => tensors.clear()), Error, [
  "FOLDER",
  "holds no tensors",
]);

for (
  const [changes, words] of [
    [{ use_dora: true }, ['"use_dora" is true', "DoRA"]],
    [{ bias: "all" }, ['"bias" is "all"', "biases"]],
    [{ peft_type: "IA3" }, ['"peft_type" is "IA3"', "LORA"]],
    [{ fan_in_fan_out: true }, ['"fan_in_fan_out" is true']],
    [{ modules_to_save: ["lm_head"] }, ['"modules_to_save"', "whole modules"]],
    [{ rank_pattern: { q_proj: 4 } }, ['"rank_pattern"', "differs by layer"]],
    [{ alpha_pattern: { q_proj: 4 } }, ['"alpha_pattern"', "differs by layer"]],
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
