/** A repository with a model in shards and what else such repositories hold, for tests of downloads. */
import type { ServedRepository } from "./hub_server.ts";

/** Bytes that differ from file to file. */
export function someBytes(size: number, seed: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: size }, (_, i) => i * 7 + (i >> 8) * 13 + seed);
}

/** The names of the shards of `shardedModel`. */
export const shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"] as const;

/** A model in two shards of this many bytes, which are no safetensors, with files that Tessera has no use for. */
export function shardedModel(shardBytes = 3000): ServedRepository {
  return {
    files: {
      ".gitattributes": "*.safetensors filter=lfs",
      "README.md": "# A model",
      "config.json": "{}",
      "generation_config.json": "{}",
      "model.safetensors.index.json": JSON.stringify({ weight_map: { a: shards[0], b: shards[1], c: shards[0] } }),
      [shards[0]]: someBytes(shardBytes, 1),
      [shards[1]]: someBytes(shardBytes, 2),
      "model.gguf": someBytes(50, 3),
      "original/consolidated.00.pth": someBytes(50, 4),
      "pytorch_model.bin": someBytes(50, 5),
      "tokenizer.json": '{ "model": {} }',
      "tokenizer_config.json": "{}",
    },
  };
}
