/**
 * Writes the files that the tiny model starts from: its tokenizer and configuration, and the data of the fine-tuning task. Run it from
 * any folder with `deno run --allow-read --allow-write packages/tiny/generate.ts`; each run writes the same bytes.
 */
import { examplesToJsonl, finetuningExamples } from "./finetuning.ts";
import { pretrainingText } from "./pretraining.ts";
import { architecture, dataSizes, finetuning, tokenizerTraining } from "./recipe.ts";
import { specialTokens, tokenizerConfig, tokenizerJson, trainVocabulary } from "./tokenizer.ts";

/** Returns the contents of every generated file by its path, relative to this folder. */
export function generateFiles(): Record<string, string> {
  const vocabulary = trainVocabulary(firstDocuments(tokenizerTraining.seed, tokenizerTraining.documents), {
    vocabularySize: architecture.vocab_size,
  });
  const { seed } = finetuning;
  return {
    "gemma2-tiny/tokenizer.json": toJson(tokenizerJson(vocabulary)),
    "gemma2-tiny/tokenizer_config.json": toJson(tokenizerConfig(architecture.max_position_embeddings)),
    "gemma2-tiny/config.json": withFloats(toJson(architecture)),
    "gemma2-tiny/generation_config.json": toJson(generationConfig()),
    "data/train.jsonl": examplesToJsonl(finetuningExamples(seed, dataSizes.train, "train")),
    "data/heldout.jsonl": examplesToJsonl(finetuningExamples(seed, dataSizes.heldout, "heldout")),
  };
}

/** Returns the first documents of the pretraining text of a seed. */
export function firstDocuments(seed: number, count: number): string[] {
  const stream = pretrainingText(seed);
  return Array.from({ length: count }, () => stream.next().value);
}

/** Returns the contents of `generation_config.json`: greedy, ending at the end of the text or of a turn. */
function generationConfig(): Record<string, unknown> {
  return {
    bos_token_id: architecture.bos_token_id,
    eos_token_id: [architecture.eos_token_id, specialTokens.indexOf("<end_of_turn>")],
    pad_token_id: architecture.pad_token_id,
    do_sample: false,
    max_length: architecture.max_position_embeddings,
  };
}

/** Writes a value as JSON with indents and a final line break. */
function toJson(value: unknown): string {
  return JSON.stringify(value, null, 2) + "\n";
}

/** Writes the numbers that Transformers 5 takes as floats only with a decimal point, which JavaScript leaves out. */
function withFloats(json: string): string {
  return json.replace(/("(?:\w+_softcapping|rope_theta|attention_dropout)": \d+)(?=[,\n])/g, "$1.0");
}

if (import.meta.main) {
  for (const [path, contents] of Object.entries(generateFiles())) {
    const url = new URL(path, import.meta.url);
    await Deno.mkdir(new URL(".", url), { recursive: true });
    await Deno.writeTextFile(url, contents);
    console.log(`Wrote ${path} (${contents.length} characters)`);
  }
}
