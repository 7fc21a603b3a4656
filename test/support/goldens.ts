/** Goldens of Transformers: small random checkpoints with the logits and the greedy tokens that they give. */
import assert from "node:assert/strict";
import { type Backend, CausalLM, type HostTensor, hostTensor, openSafetensors } from "tessera";

const goldens = new URL("../goldens/", import.meta.url);

/** The checkpoints of some families, as `family/name`. */
export function goldenNames(...families: readonly string[]): string[] {
  return families.flatMap((family) =>
    [...Deno.readDirSync(new URL(family, goldens))].map(({ name }) => `${family}/${name}`)
  );
}

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

/** Asserts that a checkpoint has the logits, within a tolerance, and the greedy tokens of Transformers on a backend. */
export async function assertLikeTransformers(backend: Backend, name: string, tolerance: number): Promise<void> {
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
}
