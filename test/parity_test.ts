/** Logits and greedy tokens of small random checkpoints against Transformers, made by `make_gemma.py` and `make_llama.py` of `test/oracle`. */
import assert from "node:assert/strict";
import { CausalLM, type HostTensor, hostTensor, openBackend, openSafetensors } from "tessera";

const goldens = new URL("./goldens/", import.meta.url);
const folders = ["gemma", "llama"].flatMap((family) =>
  [...Deno.readDirSync(new URL(family, goldens))].map(({ name }) => `${family}/${name}`)
);
const tolerance = 2e-4;
const backend = await openBackend("cpu");

/** The largest difference between logits at places where the mask is 1. */
function largestDifference(actual: HostTensor, expected: HostTensor, mask: HostTensor): number {
  const vocabulary = expected.shape.at(-1)!;
  let largest = 0;
  for (let i = 0; i < expected.data.length; i++) {
    if (mask.data[Math.floor(i / vocabulary)] === 0) continue;
    largest = Math.max(largest, Math.abs(actual.data[i]! - expected.data[i]!));
  }
  return largest;
}

for (const name of folders) {
  Deno.test(`${name} has the logits and the greedy tokens of Transformers`, async () => {
    const folder = new URL(name, goldens).pathname;
    const golden = await openSafetensors(`${folder}/golden.safetensors`);
    const lm = await CausalLM.fromPreset(folder, { backend });
    try {
      const tokenIds = golden.read("input_ids") as HostTensor<"int32">;
      const mask = golden.tensors.has("attention_mask")
        ? golden.read("attention_mask")
        : hostTensor("int32", tokenIds.shape, new Int32Array(tokenIds.data.length).fill(1));
      const paddingMask: HostTensor<"bool"> = { shape: mask.shape, dtype: "bool", data: Uint8Array.from(mask.data) };
      const logits = await lm.score({ tokenIds, paddingMask });
      const difference = largestDifference(logits, golden.read("logits"), mask);
      assert(difference <= tolerance, `logits differ by ${difference}, tolerance ${tolerance}`);

      const prompt = [...golden.read("prompt_ids").data];
      const greedy = golden.read("greedy");
      const [tokens] = await lm.generateTokens([prompt], { maxNewTokens: greedy.shape[1]!, stopTokenIds: [] });
      assert.deepEqual(tokens, [...greedy.data]);
    } finally {
      lm.dispose();
      golden.close();
    }
  });
}
