import assert from "node:assert/strict";
import { listFlags, nest, UsageError } from "@tessera/cli";
import { commandLine, parseArguments } from "./command_line.ts";

function fieldsOf(...line: string[]): Record<string, unknown> {
  return Object.fromEntries(parseArguments(line).fields);
}

function messageOf(...line: string[]): string {
  try {
    parseArguments(line);
  } catch (error) {
    assert.ok(error instanceof UsageError, String(error));
    return error.message;
  }
  assert.fail(`${line.join(" ")} was understood`);
}

Deno.test("parseArguments() understands every way to write a flag", () => {
  assert.deepEqual(fieldsOf("--lora.rank", "4"), { "lora.rank": 4 });
  assert.deepEqual(fieldsOf("--rank=4"), { "lora.rank": 4 });
  assert.deepEqual(fieldsOf("--learning-rate", "1e-3"), { "training.learningRate": 1e-3 });
  assert.deepEqual(fieldsOf("--data", "a.jsonl", "--seed", "7"), { "data.train": "a.jsonl", "training.seed": 7 });
  assert.deepEqual(fieldsOf("--targets", "query,value"), { "lora.targets": ["query", "value"] });
  assert.deepEqual(fieldsOf("--chat", "--preset", "x"), { "data.chat": true, preset: "x" });
  assert.deepEqual(fieldsOf("--no-exactMatch"), { "evaluation.exactMatch": false });
  assert.deepEqual(fieldsOf("--exact-match", "false"), { "evaluation.exactMatch": false });
});

Deno.test("parseArguments() takes none for fields that may be null", () => {
  assert.deepEqual(fieldsOf("--lora", "none", "--globalClipNorm", "none"), {
    lora: null,
    "training.globalClipNorm": null,
  });
});

Deno.test("parseArguments() tells a file from a share of held-out examples", () => {
  assert.deepEqual(fieldsOf("--heldOut", "0.2"), { "data.heldOut": 0.2 });
  assert.deepEqual(fieldsOf("--heldOut", "h.jsonl"), { "data.heldOut": "h.jsonl" });
  assert.deepEqual(fieldsOf("--heldOut", "none"), { "data.heldOut": null });
});

Deno.test("parseArguments() keeps switches and the configuration file apart from fields", () => {
  const { given, switches, fields } = parseArguments(["--config", "job.json", "--json", "--quiet", "-h"]);
  assert.equal(given.get("config"), "job.json");
  assert.deepEqual([...switches], ["json", "quiet", "help"]);
  assert.equal(fields.size, 0);
});

Deno.test("parseArguments() says what is wrong and what would be right", () => {
  assert.equal(messageOf("--rnk", "4"), "Unknown flag --rnk; did you mean --rank?");
  assert.match(messageOf("--training.learnigRate", "4"), /did you mean --training\.learningRate\?/);
  assert.match(messageOf("--zzzzzzzz"), /--help lists the flags/);
  assert.equal(messageOf("--rank", "x"), 'Cannot use --rank "x": expected a whole number');
  assert.match(messageOf("--rank", "0"), /^Cannot use --rank 0: .*>=1/);
  assert.match(messageOf("--training.epochs", "1.5"), /^Cannot use --training\.epochs 1\.5: /);
  assert.match(messageOf("--backend", "abacus"), /^Cannot use --backend abacus: .*"cpu"/);
  assert.equal(messageOf("--seed"), "--seed needs a value behind it");
  assert.equal(messageOf("--seed", "--json"), "--seed needs a value behind it");
  assert.equal(messageOf("--json=1"), "--json takes no value");
  assert.match(messageOf("--no-rank"), /Unknown flag --no-rank/);
  assert.match(messageOf("job.json"), /did you mean --config job\.json\?/);
  assert.match(messageOf("mine.jsonl"), /did you mean --data mine\.jsonl\?/);
});

Deno.test("listFlags() has one name for one flag", () => {
  const flags = listFlags(commandLine);
  const names = flags.flatMap(({ path, shortest }) => path === shortest ? [path] : [path, shortest]);
  assert.equal(new Set(names).size, names.length);
});

Deno.test("nest() puts fields into their groups", () => {
  assert.deepEqual(nest(new Map<string, unknown>([["lora", null], ["lora.rank", 4], ["preset", "x"]])), {
    lora: { rank: 4 },
    preset: "x",
  });
});
