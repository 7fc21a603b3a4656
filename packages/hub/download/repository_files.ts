/** Which files of a repository Tessera reads, and the errors for a repository that lacks them. */
import { type Folder, indexName, otherWeights, readIndex, singleName } from "@tessera/files";
import { HubError, listNames } from "@tessera/text";
import { noTokenizer } from "@tessera/tokenizer";

/** What to download of a repository: a model, a model without its weights, its `config.json` alone, or a PEFT adapter. */
export type RepositoryPart = "model" | "text" | "config" | "adapter";

/** The files besides `config.json` that say how to tokenize text and how to generate, as far as a repository has them. */
export const textFiles: readonly string[] = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "tokenizer.model",
  "chat_template.jinja",
  "generation_config.json",
  "preprocessor_config.json",
  "processor_config.json",
];

interface Wanted {
  /** What must be there. */
  readonly required: readonly string[];
  /** What is taken where it is there. */
  readonly optional: readonly string[];
  /** Whether `model.safetensors`, or the shards of an index, are taken too. */
  readonly weights: boolean;
}

const wanted: Readonly<Record<RepositoryPart, Wanted>> = {
  model: { required: ["config.json", "tokenizer.json"], optional: textFiles, weights: true },
  text: { required: ["config.json", "tokenizer.json"], optional: textFiles, weights: false },
  config: { required: ["config.json"], optional: [], weights: false },
  adapter: { required: ["adapter_config.json", "adapter_model.safetensors"], optional: [], weights: false },
};

/** The files that a folder lacks for a part to be whole; shards are known by the index. */
export async function missingFiles(folder: Folder, part: RepositoryPart): Promise<string[]> {
  const { required, weights } = wanted[part];
  const isMissing = async (name: string) => !(await folder.file(name).exists());
  const names = [...required, ...(weights ? await weightsOf(folder) : [])];
  const absent = await Promise.all(names.map(isMissing));
  return names.filter((_, i) => absent[i]);
}

async function weightsOf(folder: Folder): Promise<string[]> {
  if (await folder.file(singleName).exists() || !(await folder.file(indexName).exists())) return [singleName];
  return [...new Set(Object.values(await readIndex(folder)))];
}

/**
 * The files of a part in a repository that has these files; for a sharded checkpoint without the shards, which `indexName` names.
 *
 * @throws {Error} when the repository lacks what the part needs, with what it has and what would be right.
 */
export function filesOfPart(repository: string, names: ReadonlySet<string>, part: RepositoryPart): string[] {
  const fail = (problem: string): never => {
    throw new HubError(`Cannot use the repository "${repository}": ${problem}`, "not-found");
  };
  const { required, optional, weights } = wanted[part];
  const has = (name: string) => names.has(name);
  const isModel = part === "model" || part === "text";
  if (isModel && has("adapter_config.json") && !has("config.json")) {
    fail(`it is a PEFT adapter, no model; load its base model, then loadAdapter("hf://${repository}")`);
  }
  if (part === "adapter" && !required.every(has) && has("config.json")) {
    fail(`it is a model, no PEFT adapter; load it with fromPreset("hf://${repository}")`);
  }
  // Without weights a model is of no use, however small the part that was asked for.
  if (isModel && !has(singleName) && !has(indexName)) fail(`there is no checkpoint in it: ${otherWeights(names)}`);
  if (isModel && !has("tokenizer.json")) {
    fail(
      has("tokenizer.model")
        ? noTokenizer(true)
        : `it has no "tokenizer.json"; use the repository that it was made from`,
    );
  }
  const lacking = required.filter((name) => !has(name));
  if (lacking.length > 0) fail(`it has no ${listNames(lacking)}; found ${listNames(names) || "no files"}`);
  const weightFile = has(singleName) ? singleName : indexName;
  return [...new Set([...required, ...optional.filter(has), ...(weights ? [weightFile] : [])])];
}
