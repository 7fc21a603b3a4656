import assert from "node:assert/strict";
import { layerTypesOf, readHfConfig, ropeOf, torchDtypeOf } from "./hf_config.ts";
import { withFolder } from "@tessera/files/testing";

Deno.test("readHfConfig() keeps every field and names what is missing", async () => {
  const raw = { model_type: "gemma2", architectures: ["X"], extra: 1 };
  await withFolder({ "config.json": raw }, async (folder) => {
    assert.deepEqual(await readHfConfig(folder), { path: `${folder}/config.json`, modelType: "gemma2", raw });
  });
  await withFolder({ "config.json": { modeltype: "gemma2" } }, async (folder) => {
    await assert.rejects(readHfConfig(folder), /config.json": "modeltype" .* did you mean "model_type"\?/);
  });
  await withFolder({}, async (folder) => {
    await assert.rejects(readHfConfig(folder), /Cannot read ".*config.json": there is no such file/);
  });
});

Deno.test("readHfConfig() refuses weights that are packed in fewer bits, and says by what", async () => {
  const packed = { model_type: "llama", quantization_config: { load_in_4bit: true, quant_method: "bitsandbytes" } };
  await withFolder({ "config.json": packed }, async (folder) => {
    await assert.rejects(readHfConfig(folder), {
      name: "TypeError",
      message: `Cannot use "${folder}/config.json": its "quantization_config" says that the weights are packed by ` +
        '"bitsandbytes"; use the repository that they were made from, whose weights are float32, float16 or bfloat16, ' +
        "and pack them while loading",
    });
  });
  await withFolder({ "config.json": { model_type: "llama", quantization_config: null } }, async (folder) => {
    assert.equal((await readHfConfig(folder)).modelType, "llama");
  });
});

Deno.test("ropeOf() reads both spellings", () => {
  assert.deepEqual(ropeOf({}), { theta: 10000, type: "default", parameters: {} });
  assert.equal(ropeOf({ rope_theta: 5e5 }).theta, 5e5);
  const scaling = { type: "linear", factor: 2 };
  assert.deepEqual(ropeOf({ rope_theta: 7, rope_scaling: scaling }), { theta: 7, type: "linear", parameters: scaling });
  const parameters = { rope_theta: 8, rope_type: "llama3", factor: 8 };
  assert.deepEqual(ropeOf({ rope_parameters: parameters }), { theta: 8, type: "llama3", parameters });
  assert.equal(ropeOf({ rope_theta: 7, rope_scaling: null, rope_parameters: { rope_type: "default" } }).theta, 7);
});

Deno.test("ropeOf() refuses what it cannot read", () => {
  assert.throws(() => ropeOf({ rope_theta: "x" }, "c.json"), /Cannot use "c.json": "rope_theta" is "x"/);
  assert.throws(
    () => ropeOf({ rope_parameters: { full_attention: {}, sliding_attention: {} } }),
    /differ by layer type \(full_attention, sliding_attention\)/,
  );
});

Deno.test("torchDtypeOf() reads both spellings", () => {
  assert.equal(torchDtypeOf({}), null);
  assert.equal(torchDtypeOf({ torch_dtype: "bfloat16" }), "bfloat16");
  assert.equal(torchDtypeOf({ dtype: "torch.float16", torch_dtype: "float32" }), "float16");
  assert.throws(
    () => torchDtypeOf({ dtype: "float8" }),
    /"dtype" is "float8", expected one of float32, bfloat16, float16/,
  );
});

Deno.test("layerTypesOf() reads the list or applies the default", () => {
  const alternate = (layer: number) => layer % 2 === 0 ? "sliding_attention" : "full_attention";
  assert.deepEqual(layerTypesOf({ num_hidden_layers: 2 }, alternate), ["sliding_attention", "full_attention"]);
  const given = { num_hidden_layers: 1, layer_types: ["full_attention"] };
  assert.deepEqual(layerTypesOf(given, alternate), ["full_attention"]);
  assert.throws(
    () => layerTypesOf({ ...given, num_hidden_layers: 2 }, alternate),
    /has 1 entries, .* each of the 2 layers/,
  );
  assert.throws(() => layerTypesOf({ ...given, layer_types: ["chunked"] }, alternate), /"layer_types.0" is "chunked"/);
});
