import assert from "node:assert/strict";
import { type JsonSchema, jsonSchemaOf } from "@tessera/cli";
import { configSchema } from "./config.ts";
import { schemaText } from "./make_schema.ts";

const least = { preset: "model", data: { train: "train.jsonl" } };

Deno.test("schema.json is what make_schema.ts writes", async () => {
  const committed = await Deno.readTextFile(new URL("../schema.json", import.meta.url));
  assert.equal(committed, schemaText(), "run: deno run -A apps/finetune/job/make_schema.ts");
});

Deno.test("configSchema fills in every default", () => {
  const { lora, data, training, evaluation, backend, dtype } = configSchema.parse(least);
  assert.deepEqual(lora, { rank: 8, targets: ["query", "value"], alpha: null, layout: "peft" });
  assert.deepEqual(data, { train: "train.jsonl", heldOut: 0.1, maxLength: null, overflow: "error", chat: false });
  assert.deepEqual([training.epochs, training.steps, training.batchSize], [3, null, 8]);
  assert.equal(evaluation.exactMatch, true);
  assert.deepEqual([backend, dtype], ["cpu", "float32"]);
});

Deno.test("configSchema takes null for full fine-tuning and for no held-out examples", () => {
  const config = configSchema.parse({ ...least, lora: null, data: { train: "t", heldOut: null } });
  assert.equal(config.lora, null);
  assert.equal(config.data.heldOut, null);
});

Deno.test("configSchema rejects what no run can use", () => {
  const wrong: object[] = [
    { lora: { rank: 0 } },
    { lora: { targets: [] } },
    { backend: "abacus" },
    { data: { train: "t", heldOut: 1 } },
    { data: { train: "t", maxLength: 1 } },
    { training: { epochs: 1.5 } },
    { training: { learningRate: 0 } },
    { training: { beta2: 1 } },
    { name: "../up" },
    { surprise: 1 },
  ];
  for (const change of wrong) {
    assert.ok(!configSchema.safeParse({ ...least, ...change }).success, JSON.stringify(change));
  }
});

Deno.test("every field is described", () => {
  function check({ properties = {}, anyOf = [] }: JsonSchema, path: string): void {
    for (const [name, field] of Object.entries(properties)) {
      assert.match(field.description ?? "", /\w.*\.$/, `${path}${name}`);
      check(field, `${path}${name}.`);
    }
    for (const one of anyOf) check(one, path);
  }
  check(jsonSchemaOf(configSchema), "");
});
