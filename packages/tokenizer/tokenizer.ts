/**
 * The tokenizer of a checkpoint folder: `tokenizer.json` through Hugging Face's JavaScript library, the special tokens of
 * `tokenizer_config.json` or `special_tokens_map.json`, and the checkpoint's own chat template.
 */
import { ByteFallbackDecoder, type Decoder, SequenceDecoder, Tokenizer as Engine } from "@huggingface/tokenizers";
import { z } from "zod";
import { type ChatMessage, type ChatTemplate, compileChatTemplate } from "./chat_template.ts";
import {
  checkJson,
  type FileEntry,
  type Folder,
  folderOf,
  parseJson,
  readJson,
  readTextIfPresent,
} from "@tessera/files";
import { listNames } from "@tessera/text";

/** How a text becomes tokens. */
export interface EncodeOptions {
  /** Whether to add the tokens that the checkpoint puts around a text, such as `<bos>`; false unless given. */
  readonly addSpecialTokens?: boolean;
}

/** How tokens become a text. */
export interface DecodeOptions {
  /** Whether to leave out special tokens; false unless given. */
  readonly skipSpecialTokens?: boolean;
}

/** How a conversation becomes a text. */
export interface ChatOptions {
  /** Whether to end with the start of the model's turn; false unless given. */
  readonly addGenerationPrompt?: boolean;
  /** The tools that the model may call, in the form that the template wants, mostly JSON schemas of functions; none unless given. */
  readonly tools?: readonly object[];
  /** What else the template asks for, by name, such as `date_string`. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** Turns text into token ids and back. */
export interface Tokenizer {
  /** One more than the largest token id. */
  readonly vocabularySize: number;
  /** The token that begins a text, or null where the checkpoint names none. */
  readonly bosId: number | null;
  /** The token that the checkpoint puts before a text by itself, or null: some name one and put none. */
  readonly startId: number | null;
  /** The token that ends a text, or null where the checkpoint names none. */
  readonly eosId: number | null;
  /** The token that fills a batch, or null where the checkpoint names none. */
  readonly padId: number | null;
  /** The ids of a text; a special token that is spelled out in the text becomes its id. */
  encode(text: string, options?: EncodeOptions): number[];
  /**
   * The text of some ids.
   *
   * @throws {RangeError} when an id is not in the vocabulary.
   */
  decode(ids: readonly number[], options?: DecodeOptions): string;
  /** The id of a token, or null where there is none. */
  tokenToId(token: string): number | null;
  /** The token with an id, or null where there is none. */
  idToToken(id: number): string | null;
  /** Whether the checkpoint has a chat template. */
  readonly hasChatTemplate: boolean;
  /**
   * A conversation as the text that the model was trained on, by the checkpoint's own template.
   *
   * @throws {Error} when there is no template, or the template refuses the messages.
   */
  applyChatTemplate(messages: readonly ChatMessage[], options?: ChatOptions): string;
}

const tokenizerSchema = z.looseObject({
  model: z.looseObject({ type: z.string().optional() }),
  added_tokens: z.array(z.looseObject({ id: z.number().int().nonnegative(), content: z.string() })).default([]),
  // The engine wants these to be present.
  normalizer: z.unknown().default(null),
  pre_tokenizer: z.unknown().default(null),
  post_processor: z.unknown().default(null),
  decoder: z.unknown().default(null),
});

/** A special token is written as its text, or as an object with the text and how it matches. */
const specialToken = z.union([z.string(), z.looseObject({ content: z.string() }).transform(({ content }) => content)])
  .nullish();

const specialTokens = {
  bos_token: specialToken,
  eos_token: specialToken,
  pad_token: specialToken,
  unk_token: specialToken,
};
type SpecialTokens = { [Name in keyof typeof specialTokens]?: string };

const specialTokensSchema = z.looseObject(specialTokens);

const namedTemplates = z.array(z.looseObject({ name: z.string(), template: z.string() }));

const tokenizerConfigSchema = z.looseObject({
  ...specialTokens,
  add_bos_token: z.boolean().nullish(),
  tokenizer_class: z.string().nullish(),
  chat_template: z.union([z.string(), namedTemplates]).nullish(),
});

const configName = "tokenizer_config.json";

/**
 * Loads the tokenizer of a checkpoint folder.
 *
 * @throws {Error} when the folder has no `tokenizer.json`, or one of a kind that is not understood.
 * @throws {SyntaxError} when a file is not JSON or the chat template is not Jinja.
 * @throws {TypeError} when a field of a file is of the wrong kind.
 * @throws {RangeError} when a special token is not in the vocabulary.
 */
export async function loadTokenizer(from: string | Folder): Promise<Tokenizer> {
  const folder = folderOf(from);
  const file = folder.file("tokenizer.json");
  if (!(await file.exists())) {
    const hint = noTokenizer(await folder.file("tokenizer.model").exists());
    throw new Error(`Cannot load a tokenizer from "${folder.path}": ${hint}`);
  }
  const json = await readJson(file, tokenizerSchema);
  const config = await readIfPresent(folder.file(configName), tokenizerConfigSchema) ?? {};
  const map = await readIfPresent(folder.file("special_tokens_map.json"), specialTokensSchema) ?? {};
  const names = Object.keys(specialTokens) as (keyof SpecialTokens)[];
  const special: SpecialTokens = Object.fromEntries(
    names.flatMap((name) => {
      const token = config[name] ?? map[name];
      return token == null ? [] : [[name, token]];
    }),
  );
  let engine: Engine;
  try {
    engine = new Engine(json, { ...config, ...special });
  } catch (cause) {
    throw new Error(`Cannot load the tokenizer "${file.path}": ${(cause as Error).message}`, { cause });
  }
  correctByteFallback(engine.decoder);
  const chat = await readChatTemplate(folder, config.chat_template);
  return new FolderTokenizer(folder.path, engine, special, { chat, startsByFlag: startsByFlag(config) });
}

/** Tokenizers of these classes go by a flag that is true unless given; others by what `tokenizer.json` says. */
const flaggedClasses = /^(Gemma|Llama|CodeLlama)Tokenizer(Fast)?$/;

/** Whether a text gets a token before it, by its configuration's flag; null where `tokenizer.json` decides. */
function startsByFlag(config: Partial<z.output<typeof tokenizerConfigSchema>>): boolean | null {
  return flaggedClasses.test(config.tokenizer_class ?? "") ? config.add_bos_token ?? true : null;
}

/**
 * Makes byte tokens decode as in the reference implementation, which keeps a byte order mark and gives one replacement
 * character for each byte of a run that is not UTF-8; the engine drops the mark and merges the characters.
 */
function correctByteFallback(decoder: Decoder | null): void {
  if (decoder instanceof ByteFallbackDecoder) decoder.text_decoder = new ByteRunDecoder();
  if (decoder instanceof SequenceDecoder) decoder.decoders.forEach(correctByteFallback);
}

class ByteRunDecoder extends TextDecoder {
  constructor() {
    super("utf-8", { fatal: true, ignoreBOM: true });
  }

  override decode(bytes: Uint8Array): string {
    try {
      return super.decode(bytes);
    } catch {
      return "\uFFFD".repeat(bytes.length);
    }
  }
}

/** What is to be said where there is no `tokenizer.json`, but perhaps a `tokenizer.model`. */
export function noTokenizer(hasSentencePiece: boolean): string {
  return hasSentencePiece
    ? 'found "tokenizer.model" but no "tokenizer.json"; convert it in Python with ' +
      "AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"
    : 'found no "tokenizer.json"; download it from the repository that the weights came from';
}

async function readIfPresent<S extends z.ZodType>(file: FileEntry, schema: S): Promise<z.output<S> | null> {
  const text = await readTextIfPresent(file);
  return text === null ? null : checkJson(file.path, parseJson(file.path, text), schema);
}

/** A template in a file of its own wins over the one in the configuration, as in Transformers. */
async function readChatTemplate(
  folder: Folder,
  inConfig: string | z.output<typeof namedTemplates> | null | undefined,
): Promise<ChatTemplate | null> {
  const file = folder.file("chat_template.jinja");
  const inFile = await readTextIfPresent(file);
  if (inFile !== null) return compileChatTemplate(file.path, inFile);
  const configPath = folder.file(configName).path;
  if (inConfig == null) return null;
  if (typeof inConfig === "string") return compileChatTemplate(configPath, inConfig);
  const named = (wanted: string) => {
    const found = inConfig.find(({ name }) => name === wanted);
    return found === undefined ? null : compileChatTemplate(configPath, found.template);
  };
  const byDefault = named("default");
  if (byDefault === null) {
    throw new TypeError(
      `Cannot use "${configPath}": "chat_template" has none called "default", ` +
        `found ${listNames(inConfig.map(({ name }) => name))}`,
    );
  }
  const withTools = named("tool_use") ?? byDefault;
  return (messages, context) => (context.tools === null ? byDefault : withTools)(messages, context);
}

class FolderTokenizer implements Tokenizer {
  readonly vocabularySize: number;
  readonly bosId: number | null;
  readonly startId: number | null;
  readonly eosId: number | null;
  readonly padId: number | null;
  readonly #folder: string;
  readonly #engine: Engine;
  readonly #special: SpecialTokens;
  readonly #chat: ChatTemplate | null;

  constructor(
    folder: string,
    engine: Engine,
    special: SpecialTokens,
    { chat, startsByFlag }: { readonly chat: ChatTemplate | null; readonly startsByFlag: boolean | null },
  ) {
    this.#folder = folder;
    this.#engine = engine;
    this.#special = special;
    this.#chat = chat;
    // Added tokens are in this list too.
    this.vocabularySize = engine.model?.vocab.length ?? 0;
    this.bosId = this.#specialId("bos_token");
    this.eosId = this.#specialId("eos_token");
    this.padId = this.#specialId("pad_token");
    const starts = startsByFlag ?? this.encode("a", { addSpecialTokens: true })[0] === this.bosId;
    this.startId = starts ? this.bosId : null;
  }

  get hasChatTemplate(): boolean {
    return this.#chat !== null;
  }

  encode(text: string, options: EncodeOptions = {}): number[] {
    return this.#engine.encode(text, { add_special_tokens: options.addSpecialTokens ?? false }).ids;
  }

  decode(ids: readonly number[], options: DecodeOptions = {}): string {
    for (const id of ids) {
      if (this.idToToken(id) !== null) continue;
      throw new RangeError(
        `Cannot decode token ${id} with the tokenizer of "${this.#folder}": it has tokens 0 to ${
          this.vocabularySize - 1
        }`,
      );
    }
    if (ids.length === 0) return "";
    return this.#engine.decode([...ids], {
      skip_special_tokens: options.skipSpecialTokens ?? false,
      // Cleaning up would change text that merely looks like English, such as " ." in code.
      clean_up_tokenization_spaces: false,
    });
  }

  tokenToId(token: string): number | null {
    return this.#engine.token_to_id(token) ?? null;
  }

  idToToken(id: number): string | null {
    return this.#engine.id_to_token(id) ?? null;
  }

  applyChatTemplate(messages: readonly ChatMessage[], options: ChatOptions = {}): string {
    if (this.#chat === null) {
      throw new Error(
        `Cannot apply a chat template: the tokenizer of "${this.#folder}" has none; use an instruction-tuned ` +
          `checkpoint, or add a "chat_template.jinja" to the folder`,
      );
    }
    const { addGenerationPrompt = false, tools = null, variables = {} } = options;
    return this.#chat(messages, { addGenerationPrompt, tools, variables, specialTokens: this.#special });
  }

  #specialId(name: keyof SpecialTokens): number | null {
    const token = this.#special[name];
    if (token === undefined) return null;
    const id = this.tokenToId(token);
    if (id !== null) return id;
    throw new RangeError(
      `Cannot load the tokenizer of "${this.#folder}": its "${name}" is "${token}", which "tokenizer.json" does not hold`,
    );
  }
}
