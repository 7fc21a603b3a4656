/** What the page ships: a tiny model and its examples, which it fetches from where it came from itself. */
import { type BlobFolder, blobFolder, fetchFolder } from "tessera";

/** The files of the model and of its examples, as the server has them under `tiny/`. */
export const shippedFiles = {
  model: [
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
  ],
  data: ["train.jsonl", "heldout.jsonl"],
} as const;

/** Fetches the model. */
export async function fetchModel(base: string): Promise<BlobFolder> {
  const { files } = await fetchFolder(new URL("tiny/gemma2-tiny/", base), shippedFiles.model);
  return blobFolder(files, "gemma2-tiny");
}

/** Fetches the examples. */
export async function fetchData(base: string): Promise<BlobFolder> {
  const { files } = await fetchFolder(new URL("tiny/data/", base), shippedFiles.data);
  return blobFolder(files, "the page");
}
