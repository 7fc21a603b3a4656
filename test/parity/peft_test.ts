/** Low-rank adapters against PEFT: logits, 15 steps of training, and files, made by `test/oracle/make_peft.py`. */
import assert from "node:assert/strict";
import type { HostTensor } from "@tessera/core";
import { openSafetensors, type TensorStore } from "@tessera/files";
import type { EncodedExample } from "@tessera/train";
import { adamW, CausalLM, createDataset, openBackend } from "tessera";
import { golden, largestDifference, withFolder } from "../support/models.ts";

const backend = await openBackend("cpu");

interface Golden {
  readonly base: string;
  readonly r: number;
  readonly alpha: number;
  readonly targets: readonly string[];
  readonly trainable: number;
  readonly steps: number;
  readonly optimizer: {
    readonly learning_rate: number;
    readonly beta_1: number;
    readonly beta_2: number;
    readonly epsilon: number;
    readonly weight_decay: number;
    readonly clip_norm: number;
  };
}

interface Case {
  readonly lm: CausalLM;
  readonly arrays: TensorStore;
  readonly about: Golden;
  readonly adapter: string;
}

async function withGolden(name: string, run: (given: Case) => Promise<void>): Promise<void> {
  const folder = golden(`peft/${name}`);
  const about: Golden = JSON.parse(await Deno.readTextFile(`${folder}/golden.json`));
  const arrays = await openSafetensors(`${folder}/golden.safetensors`);
  const lm = await CausalLM.fromPreset(golden(about.base), { backend });
  try {
    const adapter = `${folder}/adapter`;
    await lm.loadAdapter(adapter);
    await run({ lm, arrays, about, adapter });
  } finally {
    lm.dispose();
    arrays.close();
  }
}

async function logitsDifference(lm: CausalLM, arrays: TensorStore, name: string): Promise<number> {
  const logits = await lm.score({ tokenIds: arrays.read("input_ids") as HostTensor<"int32"> });
  return largestDifference(logits, arrays.read(name));
}

/** The golden's batches [steps, batch, time] as examples without their padding. */
function trainingExamples(arrays: TensorStore): { examples: EncodedExample[]; batchSize: number; time: number } {
  const ids = arrays.read("train_ids");
  const [steps, batchSize, time] = ids.shape as [number, number, number];
  const [attention, mask] = [arrays.read("train_attention"), arrays.read("train_mask")];
  const examples = Array.from({ length: steps * batchSize }, (_, row): EncodedExample => {
    const at = row * time;
    const length = [...attention.data.slice(at, at + time)].filter((real) => real === 1).length;
    return {
      tokenIds: Int32Array.from(ids.data.subarray(at, at + length)),
      lossMask: Uint8Array.from(mask.data.subarray(at, at + length)),
      at: `row ${row}`,
    };
  });
  return { examples, batchSize, time };
}

function optimizerOf({ optimizer }: Golden) {
  return adamW({
    learningRate: optimizer.learning_rate,
    beta1: optimizer.beta_1,
    beta2: optimizer.beta_2,
    epsilon: optimizer.epsilon,
    weightDecay: optimizer.weight_decay,
    globalClipNorm: optimizer.clip_norm,
  });
}

function assertRelative(found: readonly number[], expected: ArrayLike<number>, tolerance: number, what: string): void {
  assert.equal(found.length, expected.length);
  found.forEach((value, i) => {
    const off = Math.abs(value - expected[i]!) / Math.abs(expected[i]!);
    assert(off <= tolerance, `${what} of step ${i} is ${value}, expected ${expected[i]}: off by ${off} of it`);
  });
}

const names = [...Deno.readDirSync(golden("peft"))].map(({ name }) => name).sort();

/** Fields that a saved adapter has other values of, which mean the same: alpha in place of rsLoRA, and modules that are named in full. */
const inOtherWords: Readonly<Record<string, readonly string[]>> = {
  phi3_rslora_all_linear: ["lora_alpha", "target_modules", "use_rslora"],
  qwen2_some_layers: ["target_modules"],
};

for (const name of names) {
  Deno.test(`${name}: an adapter of PEFT gives PEFT's logits`, async () => {
    await withGolden(name, async ({ lm, arrays, about }) => {
      const difference = await logitsDifference(lm, arrays, "logits");
      assert(difference <= 1e-4, `logits differ by ${difference}`);
      const trainable = lm.variables.filter((variable) => variable.trainable);
      assert.equal(trainable.reduce((sum, { size }) => sum + size, 0), about.trainable);
    });
  });

  Deno.test(`${name}: training goes as in PEFT, step by step`, async () => {
    await withGolden(name, async ({ lm, arrays, about }) => {
      const { examples, batchSize, time } = trainingExamples(arrays);
      const dataset = createDataset(examples, { batchSize, buckets: [time] });
      lm.compile({ optimizer: optimizerOf(about) });
      const { steps } = await lm.fit(dataset);
      assertRelative(steps.map(({ loss }) => loss), arrays.read("losses").data, 1e-3, "The loss");
      assertRelative(steps.map(({ gradientNorm }) => gradientNorm), arrays.read("grad_norms").data, 1e-3, "The norm");
      const difference = await logitsDifference(lm, arrays, "final_logits");
      assert(difference <= 1e-3, `the last logits differ by ${difference}`);
      await withFolder(async (folder) => {
        await lm.saveAdapter(folder);
        const saved = await openSafetensors(`${folder}/adapter_model.safetensors`);
        for (const key of saved.tensors.keys()) {
          const off = largestDifference(saved.read(key), arrays.read(`final.${key}`));
          assert(off <= 1e-3, `"${key}" differs by ${off} after training`);
        }
        saved.close();
      });
    });
  });

  Deno.test(`${name}: a saved adapter has the keys, shapes and values of PEFT's file, and its config`, async () => {
    await withGolden(name, async ({ lm, adapter }) => {
      await withFolder(async (folder) => {
        await lm.saveAdapter(folder);
        const expected = await openSafetensors(`${adapter}/adapter_model.safetensors`);
        const saved = await openSafetensors(`${folder}/adapter_model.safetensors`);
        assert.deepEqual([...saved.tensors.keys()].sort(), [...expected.tensors.keys()].sort());
        for (const key of saved.tensors.keys()) assert.deepEqual(saved.read(key), expected.read(key), key);
        saved.close();
        expected.close();
        const [ours, theirs] = [folder, adapter].map((from) =>
          JSON.parse(Deno.readTextFileSync(`${from}/adapter_config.json`))
        );
        const fields = ["peft_type", "task_type", "r", "lora_alpha", "bias", "target_modules", "use_rslora"];
        for (const field of fields.filter((field) => !inOtherWords[name]?.includes(field))) {
          assert.deepEqual(ours[field], theirs[field], field);
        }
        const unknown = Object.keys(ours).filter((field) => !(field in theirs));
        assert.deepEqual(unknown, [], "PEFT refuses fields that it does not know");
        assert.equal(ours.base_model_name_or_path.endsWith(`/${theirs.base_model_name_or_path}`), true);
      });
    });
  });

  Deno.test(`${name}: a saved adapter gives the same logits when it is loaded again`, async () => {
    await withGolden(name, async ({ lm, arrays }) => {
      await withFolder(async (folder) => {
        await lm.saveAdapter(folder);
        lm.unloadLora();
        assert((await logitsDifference(lm, arrays, "logits")) > 0.1);
        await lm.loadAdapter(folder);
        assert((await logitsDifference(lm, arrays, "logits")) <= 1e-4);
      });
    });
  });

  Deno.test(`${name}: a merged adapter gives PEFT's logits without any adapter`, async () => {
    await withGolden(name, async ({ lm, arrays, about }) => {
      const file = Deno.readDirSync(golden(about.base)).find(({ name }) => name.startsWith("model"))!;
      const before = await Deno.readFile(golden(`${about.base}/${file.name}`));
      await lm.mergeLora();
      assert.equal(lm.variables.some(({ path }) => path.includes("lora")), false);
      const difference = await logitsDifference(lm, arrays, "logits");
      assert(difference <= 1e-4, `logits differ by ${difference}`);
      // The weights are a view of the file, which merging must not write to.
      assert.deepEqual(await Deno.readFile(golden(`${about.base}/${file.name}`)), before);
    });
  });
}

/** Targets in PEFT's words, and the golden whose adapter has the modules that they mean. */
const inPeftWords = [
  ["all_linear", ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]],
  ["llama_all_linear", "all-linear"],
  ["llama_tied", ["self_attn.k_proj", "o_proj", "up_proj"]],
  ["qwen2_all_linear", "all-linear"],
  ["gemma4_per_layer", "all-linear"],
  ["phi3_fused", ["qkv_proj", "gate_up_proj"]],
  ["phi3_rslora_all_linear", "all-linear"],
  ["query_value", "(q|v)_proj"],
  ["qwen2_some_layers", "model\\.layers\\.1\\.(mlp|self_attn)\\.([qvo]|gate|up|down)_proj"],
] as const;

for (const [name, targets] of inPeftWords) {
  Deno.test(`${name}: enableLora() takes ${targets} for the modules that PEFT takes it for`, async () => {
    const about: Golden = JSON.parse(await Deno.readTextFile(golden(`peft/${name}/golden.json`)));
    const expected = await openSafetensors(golden(`peft/${name}/adapter/adapter_model.safetensors`));
    const lm = await CausalLM.fromPreset(golden(about.base), { backend });
    lm.enableLora({ rank: about.r, targets });
    await withFolder(async (folder) => {
      await lm.saveAdapter(folder);
      const saved = await openSafetensors(`${folder}/adapter_model.safetensors`);
      assert.deepEqual([...saved.tensors.keys()].sort(), [...expected.tensors.keys()].sort());
      saved.close();
    });
    expected.close();
    lm.dispose();
  });
}
