/** Checkpoint folders that are damaged or do not fit: what `fromPreset` says, and that nothing stays allocated. */
import assert from "node:assert/strict";
import { type HostTensor, hostTensor } from "@tessera/core";
import { openSafetensors, writeSafetensors } from "@tessera/files";
import { CausalLM, openBackend } from "tessera";
import { assertFails } from "../support/failures.ts";
import { watchBuffers } from "../support/live_buffers.ts";
import { withCheckpoint } from "../support/models.ts";

const backend = await openBackend("cpu");

/** Spoils a good folder, and requires that loading it fails with all these words and leaves nothing behind. */
function fails(
  what: string,
  spoil: (folder: string) => Promise<void>,
  kind: new (message: string) => Error,
  parts: readonly (string | RegExp)[],
): void {
  Deno.test(`fromPreset() rejects ${what}`, async () => {
    await withCheckpoint(backend, async (folder) => {
      await spoil(folder);
      const { backend: counted, live } = watchBuffers(backend);
      const named = parts.map((part) => typeof part === "string" ? part.replace("FOLDER", folder) : part);
      await assertFails(() => CausalLM.fromPreset(folder, { backend: counted }), kind, named);
      assert.equal(live.size, 0, "buffers stay allocated");
    });
  });
}

const weights = (folder: string) => `${folder}/model.safetensors`;

/** Rewrites the tensors of a folder's weights. */
async function changeTensors(folder: string, change: (tensors: Map<string, HostTensor>) => void): Promise<void> {
  const file = await openSafetensors(weights(folder));
  const tensors = new Map([...file.tensors.keys()].map((name) => [name, file.read(name)]));
  change(tensors);
  await writeSafetensors(weights(folder), Array.from(tensors, ([name, type]) => ({ name, type, read: () => type })));
  file.close();
}

async function changeConfig(folder: string, change: (config: Record<string, unknown>) => void): Promise<void> {
  const config = JSON.parse(await Deno.readTextFile(`${folder}/config.json`));
  change(config);
  await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify(config, null, 2));
}

function rename(key: string, to: string) {
  return (config: Record<string, unknown>) => {
    config[to] = config[key];
    delete config[key];
  };
}

fails("a folder without weights", (folder) => Deno.remove(weights(folder)), Error, [
  'Cannot open the checkpoint "FOLDER"',
  '"model.safetensors"',
  "download",
]);

fails(
  "a truncated file",
  async (folder) => {
    const bytes = await Deno.readFile(weights(folder));
    await Deno.writeFile(weights(folder), bytes.subarray(0, bytes.length - 1000));
  },
  RangeError,
  ["FOLDER/model.safetensors", "download"],
);

fails(
  "a file that ends within its header",
  async (folder) => {
    await Deno.writeFile(weights(folder), (await Deno.readFile(weights(folder))).subarray(0, 50));
  },
  RangeError,
  ["FOLDER/model.safetensors", "only 42 follow", "truncated"],
);

fails("an empty file", (folder) => Deno.writeFile(weights(folder), new Uint8Array()), RangeError, [
  "FOLDER/model.safetensors",
]);

for (
  const [what, length] of [["is longer than the file", 2n ** 40n], ["is beyond all numbers", 2n ** 64n - 1n]] as const
) {
  fails(
    `a header that says it ${what}`,
    async (folder) => {
      const bytes = await Deno.readFile(weights(folder));
      new DataView(bytes.buffer).setBigUint64(0, length, true);
      await Deno.writeFile(weights(folder), bytes);
    },
    RangeError,
    ["FOLDER/model.safetensors", "header"],
  );
}

fails(
  "a header that says it is shorter than it is",
  async (folder) => {
    const bytes = await Deno.readFile(weights(folder));
    new DataView(bytes.buffer).setBigUint64(0, 300n, true);
    await Deno.writeFile(weights(folder), bytes);
  },
  SyntaxError,
  ["FOLDER/model.safetensors", "header"],
);

fails(
  "a web page in place of weights",
  (folder) => Deno.writeTextFile(weights(folder), "<!DOCTYPE html><html></html>"),
  RangeError,
  [
    "FOLDER/model.safetensors",
  ],
);

fails(
  "a tensor of the wrong shape",
  (folder) =>
    changeTensors(folder, (tensors) => {
      tensors.set("model.layers.1.self_attn.k_proj.weight", hostTensor("float32", [12, 32], new Float32Array(384)));
    }),
  TypeError,
  ['"model.layers.1.self_attn.k_proj.weight"', "FOLDER", "decoder_block_1/attention/key/kernel", "[24,32]", "[12,32]"],
);

fails(
  "a tensor that nothing takes",
  (folder) =>
    changeTensors(folder, (tensors) => {
      tensors.set("model.layers.2.mlp.up_proj.weight", hostTensor("float32", [2], new Float32Array(2)));
    }),
  Error,
  ["FOLDER", "nothing in the model takes 1", '"model.layers.2.mlp.up_proj.weight"', "num_hidden_layers"],
);

fails(
  "a missing tensor, and names one that is alike",
  (folder) =>
    changeTensors(folder, (tensors) => {
      tensors.set("model.layers.0.mlp.up_porj.weight", tensors.get("model.layers.0.mlp.up_proj.weight")!);
      tensors.delete("model.layers.0.mlp.up_proj.weight");
    }),
  Error,
  [
    "FOLDER",
    '"model.layers.0.mlp.up_proj.weight"',
    "decoder_block_0/ffw_gating_2/kernel",
    'nearest name in it is "model.layers.0.mlp.up_porj.weight"',
  ],
);

fails(
  "weights of more layers than the config has",
  (folder) =>
    changeConfig(folder, (config) => {
      config.num_hidden_layers = 1;
      config.layer_types = ["full_attention"];
    }),
  Error,
  ["nothing in the model takes 11", "num_hidden_layers"],
);

fails(
  "weights of another width than the config has",
  (folder) => changeConfig(folder, (config) => config.hidden_size = 64),
  TypeError,
  ["model.embed_tokens.weight", "[480,64]", "[480,32]"],
);

fails(
  "an unknown architecture, and names one that is alike",
  (folder) => changeConfig(folder, (config) => config.model_type = "gemma_2"),
  TypeError,
  [
    "FOLDER/config.json",
    '"model_type": "gemma_2"',
    'did you mean "gemma2"',
  ],
);

Deno.test("fromPreset() does not take an architecture for another whose name is alike", async () => {
  for (const type of ["mllama", "gemma3n", "llama4", "mixtral", "mistral3", "ministral3"]) {
    await withCheckpoint(backend, async (folder) => {
      await changeConfig(folder, (config) => config.model_type = type);
      await assert.rejects(CausalLM.fromPreset(folder, { backend }), (error: Error) => {
        assert(error.message.includes(`"${type}"`) && !error.message.includes("did you mean"), error.message);
        return true;
      });
    });
  }
});

fails(
  "an architecture that is like none",
  (folder) => changeConfig(folder, (config) => config.model_type = "whisper"),
  TypeError,
  ["FOLDER/config.json", '"whisper"', '"gemma"', '"gemma2"'],
);

fails(
  "a config without an architecture",
  (folder) => changeConfig(folder, (config) => delete config.model_type),
  TypeError,
  ["FOLDER/config.json", '"model_type" is missing'],
);

fails(
  "a misspelled field, and names the right one",
  (folder) => changeConfig(folder, rename("num_key_value_heads", "num_key_value_head")),
  TypeError,
  [
    "FOLDER/config.json",
    '"num_key_value_head"',
    '"num_key_value_heads"',
  ],
);

fails("a field of the wrong kind", (folder) => changeConfig(folder, (config) => config.head_dim = "12"), TypeError, [
  "FOLDER/config.json",
  '"head_dim" is "12"',
]);

fails("a field out of range", (folder) => changeConfig(folder, (config) => config.num_hidden_layers = 0), TypeError, [
  "FOLDER/config.json",
  '"num_hidden_layers" is 0',
]);

fails(
  "heads that do not divide",
  (folder) => changeConfig(folder, (config) => config.num_key_value_heads = 3),
  RangeError,
  [
    "FOLDER/config.json",
    '"num_attention_heads" (4)',
    '"num_key_value_heads" (3)',
  ],
);

fails("an odd head", (folder) => changeConfig(folder, (config) => config.head_dim = 13), RangeError, [
  '"head_dim" must be even',
  "13",
]);

fails(
  "an activation that Gemma has not",
  (folder) => changeConfig(folder, (config) => config.hidden_activation = "relu"),
  TypeError,
  ["FOLDER/config.json", '"relu"', "gelu_pytorch_tanh"],
);

fails(
  "a config that is not JSON",
  (folder) => Deno.writeTextFile(`${folder}/config.json`, '{\n  "model_type": "gemma2"\n  "vocab_size": 1\n}'),
  SyntaxError,
  [
    "FOLDER/config.json",
    "line 3",
  ],
);

fails("a folder without config", (folder) => Deno.remove(`${folder}/config.json`), Error, [
  "FOLDER/config.json",
  "there is no such file",
]);

fails("a tokenizer that is not JSON", (folder) => Deno.writeTextFile(`${folder}/tokenizer.json`, "{"), SyntaxError, [
  "FOLDER/tokenizer.json",
]);

Deno.test("fromPreset() rejects a folder that is not there", async () => {
  await assertFails(() => CausalLM.fromPreset("no/such/folder", { backend }), Error, [
    "no/such/folder",
    "there is no such",
  ]);
});

Deno.test("fromPreset() rejects an unknown dtype policy", async () => {
  await withCheckpoint(backend, async (folder) => {
    const dtype = "bf16" as "bfloat16";
    await assertFails(() => CausalLM.fromPreset(folder, { backend, dtype }), RangeError, [
      '"bf16"',
      "bfloat16",
      "mixed_bfloat16",
    ]);
  });
});
