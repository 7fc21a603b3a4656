import assert from "node:assert/strict";
import { type HostTensor, normal, randomKey } from "@tessera/core";
import { openSafetensors } from "@tessera/files";
import { withFolder } from "@tessera/files/testing";
import { einsumDense, modelVariables, putValue, Scope, zeros } from "@tessera/nn";
import { referenceBackend } from "@tessera/runtime/testing";
import { type Adaptable, enableLora, loraAdapters, unloadLora } from "./enable.ts";
import { loadAdapter, saveAdapter } from "./peft_files.ts";
import type { ModuleNames } from "./peft_targets.ts";

const backend = referenceBackend();
const heads = { query: 4, key: 2, value: 2 } as const;

/** A block whose query, key and value are one tensor of 8 heads of 3 elements over 5 inputs, and whose output is one of its own. */
function block(): Adaptable {
  const scope = new Scope().scope("block");
  for (const [name, count] of Object.entries(heads)) {
    const spec = { equation: "btd,dnh->btnh", shape: [5, count, 3], order: [1, 2, 0] };
    einsumDense(scope, name, { ...spec, fused: "qkv_proj", dtype: "float32", initializer: zeros() });
  }
  einsumDense(scope, "out", { equation: "btd,de->bte", shape: [5, 5], dtype: "float32", initializer: zeros() });
  const { registry } = scope;
  return {
    name: "block",
    denses: registry.denses,
    get variables() {
      return modelVariables(registry);
    },
  };
}

const fused = Object.keys(heads).map((name) => `block/${name}`);
const names: ModuleNames = {
  moduleOf: (path) => fused.includes(path) ? "attn.qkv_proj" : path === "block/out" ? "attn.o_proj" : null,
  layersOf: (module) => module === "attn.qkv_proj" ? fused : module === "attn.o_proj" ? ["block/out"] : [],
};

/** Gives each factor values of its own. */
function draw(model: Adaptable): void {
  model.variables.filter(({ path }) => path.includes("lora")).forEach((variable, seed) => {
    const data = Float32Array.from(normal(randomKey(seed), variable.size));
    putValue(variable, { ...variable.stored, dtype: "float32", data }, backend);
  });
}

function trainable(model: Adaptable): string[] {
  return model.variables.filter((variable) => variable.trainable).map(({ path }) => path);
}

async function values(model: Adaptable): Promise<[path: string, data: number[]][]> {
  const trained = model.variables.filter((variable) => variable.trainable);
  return await Promise.all(
    trained.map(async ({ path, value }): Promise<[string, number[]]> => [path, [...(await value!.read()).data]]),
  );
}

async function read(folder: string): Promise<Record<string, HostTensor>> {
  const file = await openSafetensors(`${folder}/adapter_model.safetensors`);
  const tensors = Object.fromEntries([...file.tensors.keys()].map((name) => [name, file.read(name)]));
  file.close();
  return tensors;
}

Deno.test("layers that are one tensor share their A in PEFT's layout, and none in Keras's", () => {
  const model = block();
  enableLora(model, { rank: 2, layout: "peft", targets: ["query", "key", "value", "out"] });
  assert.deepEqual(trainable(model), [
    "block/qkv_proj/lora_kernel_a",
    "block/query/lora_kernel_b",
    "block/key/lora_kernel_b",
    "block/value/lora_kernel_b",
    "block/out/lora_kernel_a",
    "block/out/lora_kernel_b",
  ]);
  assert.equal(new Set(loraAdapters(model).map(({ adapter }) => adapter.a)).size, 2);
  unloadLora(model);
  enableLora(model, { rank: 2, layout: "keras", targets: ["query", "value"] });
  assert.deepEqual(
    trainable(model),
    ["query", "value"].flatMap((name) => [
      `block/${name}/lora_kernel_a`,
      `block/${name}/lora_kernel_b`,
    ]),
  );
});

Deno.test("an adapter of one tensor is one module of PEFT's file, and comes back as it was", async () => {
  await withFolder({}, async (folder) => {
    const model = block();
    enableLora(model, { rank: 2, alpha: 4, layout: "peft", targets: ["query", "key", "value"] });
    draw(model);
    const before = await values(model);
    await saveAdapter(folder, model, names);
    const {
      "base_model.model.attn.qkv_proj.lora_A.weight": a,
      "base_model.model.attn.qkv_proj.lora_B.weight": b,
      ...rest
    } = await read(folder);
    assert.deepEqual([a!.shape, b!.shape, rest], [[2, 5], [24, 2], {}]);
    assert.deepEqual([...b!.data], before.slice(1).flatMap(([, data]) => data));
    const config = JSON.parse(await Deno.readTextFile(`${folder}/adapter_config.json`));
    assert.deepEqual([config.target_modules, config.r, config.lora_alpha], [["qkv_proj"], 2, 4]);

    const again = block();
    await loadAdapter(folder, again, names, backend);
    assert.deepEqual(await values(again), before);
  });
});

Deno.test("layers of a tensor that have no adapter are zeros in PEFT's file, and get none when it is loaded", async () => {
  await withFolder({}, async (folder) => {
    const model = block();
    enableLora(model, { rank: 2, layout: "peft", targets: ["query", "value"] });
    draw(model);
    const before = await values(model);
    assert.equal(before.length, 3);
    await saveAdapter(folder, model, names);
    const b = [...(await read(folder))["base_model.model.attn.qkv_proj.lora_B.weight"]!.data];
    assert.deepEqual(b, [...before[1]![1], ...new Array(12).fill(0), ...before[2]![1]]);

    const again = block();
    await loadAdapter(folder, again, names, backend);
    assert.deepEqual(await values(again), before);
  });
});

Deno.test("an adapter that was never trained is loaded into all layers of its tensor", async () => {
  await withFolder({}, async (folder) => {
    const model = block();
    enableLora(model, { rank: 2, layout: "peft", targets: ["query"] });
    draw(model);
    const b = loraAdapters(model)[0]!.adapter.b;
    putValue(b, { ...b.stored, dtype: "float32", data: new Float32Array(b.size) }, backend);
    await saveAdapter(folder, model, names);
    const again = block();
    await loadAdapter(folder, again, names, backend);
    assert.deepEqual(loraAdapters(again).map(({ layer }) => layer.path), fused);
  });
});

Deno.test("loadAdapter() names a factor that is too short for all layers of its module", async () => {
  await withFolder({}, async (folder) => {
    const model = block();
    enableLora(model, { rank: 2, layout: "peft", targets: ["out"] });
    draw(model);
    await saveAdapter(folder, model, names);
    const taken: ModuleNames = { ...names, layersOf: (module) => module === "attn.o_proj" ? fused : [] };
    await assert.rejects(loadAdapter(folder, block(), taken, backend), {
      name: "TypeError",
      message:
        /"base_model.model.attn.o_proj.lora_B.weight" must be floating-point of shape \[24,2\], found float32\[5,2\]/,
    });
  });
});
