/** Records as a data set, encoded as a model reads them. */
import { checkOptions } from "@tessera/text";
import type { Tokenizer } from "@tessera/tokenizer";
import { createDataset, type Dataset, encodeExamples, loadExamples } from "@tessera/train";
import type { ImageInputs } from "../architecture/backbone.ts";
import type { DataOptions } from "./causal_lm_options.ts";
import { dataOptionNames } from "./option_names.ts";
import { imageEncoding } from "./prompts.ts";

/** Records, or the path of a JSONL file of them. */
export type DataSource = Parameters<typeof loadExamples>[0];

/** The model that is to read them. */
interface Reader {
  readonly name: string;
  readonly contextLength: number;
  readonly tokenizer: Tokenizer;
  readonly images: ImageInputs | undefined;
}

/** What `CausalLM.dataset` does, which documents it. */
export async function encodeDataset(lm: Reader, source: DataSource, options: DataOptions): Promise<Dataset> {
  const { name, contextLength, tokenizer, images } = lm;
  checkOptions(`make a data set for "${name}"`, options, dataOptionNames);
  const { maxLength = contextLength, overflow, chat, ...rest } = options;
  if (maxLength > contextLength) {
    throw new RangeError(
      `Cannot encode examples of ${maxLength} tokens for "${name}": its context holds ${contextLength}; lower maxLength`,
    );
  }
  const encoded = await encodeExamples(await loadExamples(source), tokenizer, {
    maxLength,
    ...(overflow === undefined ? {} : { overflow }),
    ...(chat === undefined ? {} : { chat }),
    ...(images === undefined ? {} : { images: imageEncoding(images) }),
  });
  return createDataset(encoded.examples, { padId: tokenizer.padId ?? 0, maxLength, ...rest });
}
