/** The files of a checkpoint folder beside its weights. */
import { loadTokenizer, type Tokenizer } from "@tessera/hub";

/**
 * The tokenizer of a checkpoint folder; `null` when it has none.
 *
 * @throws {Error} when it has one that cannot be read.
 */
export async function tokenizerOf(folder: string): Promise<Tokenizer | null> {
  for (const file of ["tokenizer.json", "tokenizer.model"]) {
    if (await realPath(`${folder}/${file}`) !== null) return await loadTokenizer(folder);
  }
  return null;
}

/** Fields that Transformers refuses as whole numbers: it wants `30.0` where JavaScript writes `30`. */
const floatFields = new Set([
  "attention_dropout",
  "attn_logit_softcapping",
  "factor",
  "final_logit_softcapping",
  "high_freq_factor",
  "low_freq_factor",
  "rms_norm_eps",
  "rope_theta",
]);

/** A config as JSON that Transformers reads. */
export function configText(config: Readonly<Record<string, unknown>>): string {
  const text = JSON.stringify(config, null, 2);
  const whole = /^( *"(\w+)": -?\d+)(?=,?$)/gm;
  return text.replace(whole, (number, _, field: string) => floatFields.has(field) ? `${number}.0` : number) + "\n";
}

/** Writes the `config.json` of a checkpoint folder; one that is there is replaced when the new one is complete. */
export async function writeConfig(folder: string, config: Readonly<Record<string, unknown>>): Promise<void> {
  const temporary = `${folder}/.config.json.new`;
  await Deno.writeTextFile(temporary, configText(config));
  await Deno.rename(temporary, `${folder}/config.json`);
}

const textFiles = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "tokenizer.model",
  "chat_template.jinja",
  "generation_config.json",
];

/** Copies what says how text becomes tokens and how to generate, as far as it is there. */
export async function copyTextFiles(from: string, to: string): Promise<void> {
  for (const file of textFiles) {
    const source = await realPath(`${from}/${file}`);
    // A model may be saved to the folder that it came from.
    if (source === null || source === await realPath(`${to}/${file}`)) continue;
    await Deno.copyFile(source, `${to}/${file}`);
  }
}

/** The path of a file without links; `null` when there is none. */
async function realPath(path: string): Promise<string | null> {
  try {
    return await Deno.realPath(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}
