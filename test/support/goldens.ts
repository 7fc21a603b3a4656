/** Goldens of Transformers: small random checkpoints with the logits and the greedy tokens that they give. */
import assert from "node:assert/strict";
import { type HostTensor, hostTensor } from "@tessera/core";
import { openSafetensors } from "@tessera/files";
import { type Backend, CausalLM } from "tessera";

const goldens = new URL("../goldens/", import.meta.url);

/** The names in a folder, in order. */
function namesIn(folder: URL): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

/** A checkpoint among the goldens, as `family/name`, and its config. */
export interface GoldenCheckpoint {
  /** The family, which is the folder, and the name. */
  readonly name: string;
  /** The family. */
  readonly family: string;
  /** Its `config.json`. */
  readonly config: Readonly<Record<string, unknown>>;
}

function hasFile(name: string, file: string): boolean {
  try {
    return Deno.statSync(new URL(`${name}/${file}`, goldens)).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return false;
    throw error;
  }
}

/** The config of a checkpoint whose logits are known; `null` for another golden. */
function readConfig(name: string): Record<string, unknown> | null {
  if (!hasFile(name, "config.json") || !hasFile(name, "golden.safetensors")) return null;
  return JSON.parse(Deno.readTextFileSync(new URL(`${name}/config.json`, goldens)));
}

/** Every golden checkpoint that reads texts alone, of every architecture. */
export function textCheckpoints(): GoldenCheckpoint[] {
  return namesIn(goldens).flatMap((family) =>
    namesIn(new URL(`${family}/`, goldens)).flatMap((leaf) => {
      const name = `${family}/${leaf}`;
      const config = readConfig(name);
      return config === null || "vision_config" in config ? [] : [{ name, family, config }];
    })
  );
}

/** One checkpoint of each family of those given: the first. */
export function firstOfEach(checkpoints: readonly GoldenCheckpoint[]): GoldenCheckpoint[] {
  return checkpoints.filter(({ family }, i) => checkpoints.findIndex((other) => other.family === family) === i);
}

/** Whether the published map divides a checkpoint's heads and vocabulary by four. */
export function isDivisible({ config }: GoldenCheckpoint): boolean {
  const heads = config.num_attention_heads as number;
  const vocabulary = config.vocab_size as number;
  return heads % 4 === 0 && vocabulary % 4 === 0;
}

/** Whether the rotation of a key depends on how long the text has become, so that a cache keeps what later ones would not have. */
export function rotatesByLength({ config }: GoldenCheckpoint): boolean {
  return /"(?:rope_)?type":"(?:dynamic|longrope|su)"/.test(JSON.stringify(config));
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
export async function assertLikeTransformers(
  backend: Backend,
  name: string,
  tolerance: number,
  options: { readonly onWarning?: (message: string) => void } = {},
): Promise<void> {
  const folder = new URL(name, goldens).pathname;
  const golden = await openSafetensors(`${folder}/golden.safetensors`);
  const lm = await CausalLM.fromPreset(folder, { backend, ...options });
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
