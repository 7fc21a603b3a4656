/** The files of a checkpoint folder beside its weights. */
import { type Folder, writeText } from "@tessera/files";
import { textFiles } from "@tessera/hub";
import { loadTokenizer, type Tokenizer } from "@tessera/tokenizer";

/**
 * The tokenizer of a checkpoint folder; `null` when it has none.
 *
 * @throws {Error} when it has one that cannot be read.
 */
export async function tokenizerOf(folder: Folder): Promise<Tokenizer | null> {
  for (const name of ["tokenizer.json", "tokenizer.model"]) {
    if (await folder.file(name).exists()) return await loadTokenizer(folder);
  }
  return null;
}

/** A config as JSON that Transformers reads: it wants `30.0` in some fields, where JavaScript writes `30`. */
export function configText(config: Readonly<Record<string, unknown>>, floatFields: ReadonlySet<string>): string {
  const text = JSON.stringify(config, null, 2);
  const whole = /^( *"(\w+)": -?\d+)(?=,?$)/gm;
  return text.replace(whole, (number, _, field: string) => floatFields.has(field) ? `${number}.0` : number) + "\n";
}

/** Writes the `config.json` of a checkpoint folder; one that is there is replaced when the new one is complete. */
export async function writeConfig(
  folder: Folder,
  config: Readonly<Record<string, unknown>>,
  floatFields: ReadonlySet<string>,
): Promise<void> {
  await writeText(folder.file("config.json"), configText(config, floatFields));
}

/** Copies what says how text becomes tokens and how to generate, as far as it is there. */
export async function copyTextFiles(from: Folder, to: Folder): Promise<void> {
  for (const name of textFiles) {
    const source = from.file(name);
    if (!(await source.exists())) continue;
    const bytes = await source.open({ map: false });
    try {
      // A model may be saved to the folder that it came from, where a file is then replaced by the same.
      await to.file(name).write((write) => write(new Uint8Array(bytes.buffer(0, bytes.size, 1))));
    } finally {
      bytes.close();
    }
  }
}
