/** The models and prompts of the generation benchmark; `test/oracle/bench_generate.py` has the same prompt. */
import { initialize } from "@tessera/nn";
import { buildPreset, CausalLM, llama, type LlamaConfig, openBackend } from "tessera";

/** The models that can be measured. */
export const shapes = ["llama3.2_1b", "small"] as const;

/** The name of a model. */
export type ShapeName = typeof shapes[number];

/** Small enough to see in seconds that the benchmark works. */
const small: LlamaConfig = {
  vocabularySize: 8192,
  numLayers: 4,
  numQueryHeads: 8,
  numKeyValueHeads: 2,
  hiddenDim: 512,
  intermediateDim: 2048,
  headDim: 64,
  tieWordEmbeddings: true,
};

/** Random weights of a model, as a folder in Hugging Face's format that all contestants load, in bfloat16 as published models are; made once and kept. */
export async function checkpointOf(shape: ShapeName): Promise<string> {
  const folder = new URL(`../../runs/bench/${shape}-bfloat16`, import.meta.url).pathname;
  try {
    await Deno.stat(`${folder}/config.json`);
    return folder;
  } catch {
    console.error(`Making random weights in ${folder} …`);
  }
  const backend = await openBackend("cpu");
  const text = { contextLength: 8192, bosTokenId: 0, eosTokenIds: [1], padTokenId: null };
  const model = shape === "small" ? llama.build(small, { text }) : buildPreset(shape);
  const lm = new CausalLM({ model, backend, tokenizer: null });
  initialize(lm.variables, backend, { seed: 0 });
  await lm.saveToPreset(folder, { dtype: "bfloat16" });
  lm.dispose();
  backend.dispose();
  return folder;
}

/** The prompt: token i, from 1, is i · 2654435761 mod 2³² mod the vocabulary. */
export function promptOf(length: number, vocabularySize: number): number[] {
  return Array.from(
    { length },
    (_, i) => Number(BigInt.asUintN(32, BigInt(i + 1) * 2654435761n) % BigInt(vocabularySize)),
  );
}

/** The number of first tokens of the prompt whose logits are compared. */
export const scoredTokens = 32;
