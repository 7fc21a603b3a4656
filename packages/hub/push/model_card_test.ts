import assert from "node:assert/strict";
import { type CardSubject, isOwnCard, writeModelCard } from "./model_card.ts";

const adapter: CardSubject = {
  kind: "adapter",
  repository: "me/mine",
  baseModel: "google/gemma-2-2b",
  modelType: null,
};

/** The front matter of a card, by lines. */
function frontOf(card: string): string[] {
  return /^---\n([^]*?)\n---\n/.exec(card)![1]!.split("\n");
}

Deno.test("writeModelCard() says in its front matter what the hub searches: the library, the task, the base and its license", () => {
  assert.deepEqual(frontOf(writeModelCard(adapter, {})), [
    "library_name: peft",
    "pipeline_tag: text-generation",
    "base_model: google/gemma-2-2b",
    "base_model_relation: adapter",
    "license: gemma",
    "tags:",
    "  - tessera",
    "  - lora",
  ]);
  const model = {
    kind: "model",
    repository: "me/mine",
    baseModel: "meta-llama/Llama-3.2-1B",
    modelType: "llama",
  } as const;
  assert.deepEqual(frontOf(writeModelCard(model, {})), [
    "library_name: transformers",
    "pipeline_tag: text-generation",
    "base_model: meta-llama/Llama-3.2-1B",
    "base_model_relation: finetune",
    "license: llama3.2",
    "tags:",
    "  - tessera",
  ]);
  assert.deepEqual(frontOf(writeModelCard({ ...model, baseModel: null, modelType: "paligemma" }, {})), [
    "library_name: transformers",
    "pipeline_tag: image-text-to-text",
    "tags:",
    "  - tessera",
  ]);
});

Deno.test("writeModelCard() knows the licenses that fine-tunes of well-known models inherit", () => {
  const licenses = {
    "google/gemma-7b": "gemma",
    "google/gemma-1.1-2b-it": "gemma",
    "google/codegemma-2b": "gemma",
    "google/paligemma2-3b-pt-224": "gemma",
    "meta-llama/Meta-Llama-3-8B": "llama3",
    "meta-llama/Llama-3.1-8B-Instruct": "llama3.1",
    "meta-llama/Llama-3.3-70B-Instruct": "llama3.3",
    "Qwen/Qwen3-4B-Instruct-2507": "apache-2.0",
    "Qwen/Qwen2.5-Coder-7B": "apache-2.0",
    "Qwen/Qwen2.5-3B": undefined,
    "somebody/gemma-2-2b": undefined,
  };
  for (const [baseModel, license] of Object.entries(licenses)) {
    const line = frontOf(writeModelCard({ ...adapter, baseModel }, {})).find((text) => text.startsWith("license: "));
    assert.equal(line, license && `license: ${license}`, baseModel);
  }
});

Deno.test("writeModelCard() shows how to load it, in Tessera and in Python", () => {
  const card = writeModelCard(adapter, {});
  for (
    const line of [
      'const lm = await CausalLM.fromPreset("hf://google/gemma-2-2b", { backend });',
      'await lm.loadAdapter("hf://me/mine");',
      'model = PeftModel.from_pretrained(base, "me/mine")',
      'tokenizer = AutoTokenizer.from_pretrained("google/gemma-2-2b")',
    ]
  ) assert(card.split("\n").includes(line), line);
  const whole = writeModelCard({ ...adapter, kind: "model" }, { task: "image-text-to-text" });
  for (
    const line of [
      'const lm = await PaliGemmaCausalLM.fromPreset("hf://me/mine", { backend });',
      'model = AutoModelForImageTextToText.from_pretrained("me/mine")',
      'processor = AutoProcessor.from_pretrained("me/mine")',
    ]
  ) assert(whole.split("\n").includes(line), line);
  const unknown = writeModelCard({ ...adapter, baseModel: null }, { baseName: "gemma2-tiny" });
  assert.match(unknown, /A LoRA adapter for `gemma2-tiny`, made/);
  assert.match(unknown, /fromPreset\("path\/to\/the\/base-model"/);
});

Deno.test("writeModelCard() sets tables that no cell breaks, and marks the card as its own", () => {
  const table = { columns: ["", "before", "after"], rows: [["Loss", "2", "1"], ["a|b", "", "c"]] };
  const card = writeModelCard(adapter, { sections: [{ title: "Results", text: "On 5 examples.", table }] });
  const lines = [
    "## Results",
    "",
    "On 5 examples.",
    "",
    "|  | before | after |",
    "| --- | --- | --- |",
    "| Loss | 2 | 1 |",
  ];
  assert(card.includes([...lines, "| a\\|b |  | c |"].join("\n")), card);
  assert(isOwnCard(card));
  assert(!isOwnCard(card.replace(/<!--.*-->\n/, "")));
});
