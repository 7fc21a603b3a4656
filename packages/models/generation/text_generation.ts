/** Text generation: what users ask for, checked, and what comes out, as text. */
import { checkOptions } from "@tessera/text";
import { type ChatMessage, textStream, type Tokenizer } from "@tessera/tokenizer";
import type { Backend } from "@tessera/runtime";
import type { TextConfig } from "../architecture/text_config.ts";
import type { Backbone } from "../architecture/backbone.ts";
import type { ChatGenerateOptions, GenerateOptions } from "../task/causal_lm_options.ts";
import { chatOptionNames } from "../task/option_names.ts";
import { checkTokens, imagesOfRows } from "./check_inputs.ts";
import { TokenGenerator } from "./generate.ts";
import type { GenerationDefaults } from "./generation_defaults.ts";
import { type Sampling, samplingOf } from "./sampling.ts";
import type { GenerateTokens } from "./search.ts";
import { stopScanner } from "./stop_strings.ts";

/** What ends a turn in ChatML, the template that fine-tunes of every architecture use. */
const chatMlEnd = "<|im_end|>";

const defaultNewTokens = 256;

/** What text generation needs to know of a model. */
export interface TextGeneratorParts {
  /** The model's name, for messages. */
  readonly name: string;
  /** The architecture. */
  readonly backbone: Backbone;
  /** What the model runs on. */
  readonly backend: Backend;
  /** What the checkpoint's config says of texts. */
  readonly text: TextConfig;
  /** Turns text into tokens; `null` when there is none. */
  readonly tokenizer: Tokenizer | null;
  /** What the checkpoint says of generation. */
  readonly defaults: GenerationDefaults;
  /** Tokens that end a turn of a conversation in the architecture's own templates. */
  readonly endOfTurn: readonly string[];
}

function tell({ onProgress }: GenerateOptions, done: number, total: number): void {
  onProgress?.({ phase: "generate", done, total, unit: "tokens" });
}

/** Generates text with one model. */
export class TextGenerator {
  readonly #parts: TextGeneratorParts;
  readonly #generator: TokenGenerator;

  /** Prepares to generate; nothing is compiled yet. */
  constructor(parts: TextGeneratorParts) {
    this.#parts = parts;
    this.#generator = new TokenGenerator(parts.backbone, parts.backend);
  }

  /**
   * Turns text into tokens and back.
   *
   * @throws {Error} when the checkpoint has no tokenizer.
   */
  get tokenizer(): Tokenizer {
    const { name, tokenizer } = this.#parts;
    if (tokenizer !== null) return tokenizer;
    throw new Error(`Cannot read or write text with "${name}": its checkpoint has no tokenizer.json`);
  }

  /**
   * The tokens of a conversation by the checkpoint's own template, up to where the model's turn begins.
   *
   * @throws {TypeError} when an option has an unknown name.
   * @throws {RangeError} when there are no messages.
   * @throws {Error} when the checkpoint has no template, or its template refuses the messages.
   */
  encodeChat(messages: readonly ChatMessage[] | string, options: ChatGenerateOptions): number[] {
    checkOptions("chat", options, chatOptionNames);
    const list = typeof messages === "string" ? [{ role: "user", content: messages }] : messages;
    if (list.length === 0) throw new RangeError("Cannot chat: there are no messages; give at least one");
    const { tools, templateVariables } = options;
    return this.tokenizer.encode(this.tokenizer.applyChatTemplate(list, {
      addGenerationPrompt: true,
      ...(tools === undefined ? {} : { tools }),
      ...(templateVariables === undefined ? {} : { variables: templateVariables }),
    }));
  }

  /** The tokens that follow each prompt. */
  async generateTokens(prompts: readonly (readonly number[])[], options: GenerateOptions): Promise<number[][]> {
    const request = this.#request(prompts, options);
    if (prompts.length === 0) return [];
    return await this.#generator.generate(request, ({ done, total }) => tell(options, done, total));
  }

  /** The text that follows each prompt, or the prompt and what follows it. */
  async generate(prompts: readonly (readonly number[])[], options: GenerateOptions): Promise<string[]> {
    const answers = await this.generateTokens(prompts, options);
    return answers.map((answer, row) => {
      const text = answerText(this.tokenizer, this.#withoutImages(prompts[row]!), options);
      return [text.begin(), ...answer.map((token) => text.push(token)), text.end()].join("");
    });
  }

  /** The text that follows one prompt as it comes; no piece is empty. */
  async *stream(prompt: readonly number[], options: GenerateOptions): AsyncGenerator<string, void> {
    const request = this.#request([prompt], options);
    const text = answerText(this.tokenizer, this.#withoutImages(prompt), options);
    const steps = this.#generator.steps(request);
    try {
      const begin = text.begin();
      if (begin !== "") yield begin;
      let settled = 0;
      for (;;) {
        const { done, value } = await steps.next();
        // What is settled at the end only, as by beam search, comes then.
        const tokens = done ? value[0]!.slice(settled) : value.tokens.filter((token) => token !== null);
        settled += tokens.length;
        const piece = tokens.map((token) => text.push(token)).join("") + (done ? text.end() : "");
        if (!done) tell(options, value.done, value.total);
        if (piece !== "") yield piece;
        if (done) return;
      }
    } finally {
      await steps.return([]);
    }
  }

  /** Frees programs. */
  dispose(): void {
    this.#generator.dispose();
  }

  #request(prompts: readonly (readonly number[])[], options: GenerateOptions): GenerateTokens {
    const { text, defaults } = this.#parts;
    const { maxNewTokens = defaultNewTokens, maxLength = text.contextLength, stopStrings = [], signal } = options;
    for (const [name, value, least] of [["maxLength", maxLength, 2], ["maxNewTokens", maxNewTokens, 1]] as const) {
      if (Number.isInteger(value) && value >= least) continue;
      throw new RangeError(`Cannot generate: ${name} must be a whole number of at least ${least}, found ${value}`);
    }
    const limit = Math.min(maxLength, text.contextLength);
    const sampling = samplingOf(options, defaults.sampling);
    prompts.forEach((prompt, row) => this.#checkPrompt(prompt, row, limit));
    const images = imagesOfRows(options.images, prompts, this.#parts);
    const stopTokenIds = [...(options.stopTokenIds ?? this.#defaultStops()), ...this.#specialStops(stopStrings)];
    if (options.stopTokenIds !== undefined) this.#checkTokens(stopTokenIds);
    return {
      prompts,
      ...(images === undefined ? {} : { images }),
      maxNewTokens,
      maxLength: limit,
      stopTokenIds: new Set(stopTokenIds),
      sampling,
      ...(stopStrings.length === 0 ? {} : { endsWith: this.#stopCheck(stopStrings, sampling) }),
      ...(signal === undefined ? {} : { signal }),
    };
  }

  /** Stop strings that are special tokens, which answers as text would not show. */
  #specialStops(stopStrings: readonly string[]): number[] {
    return stopStrings.flatMap((stop) => {
      if (stop === "") throw new RangeError("Cannot generate: a stop string is empty; leave it out");
      const id = this.tokenizer.tokenToId(stop);
      return id !== null && this.tokenizer.decode([id], { skipSpecialTokens: true }) === "" ? [id] : [];
    });
  }

  /** Tells after each token whether a stop string came up. */
  #stopCheck(stopStrings: readonly string[], { search }: Sampling): NonNullable<GenerateTokens["endsWith"]> {
    const { tokenizer } = this;
    // Beams continue from each other, so none can be followed token by token. A stop string that the last token completes has no more
    // tokens than bytes; some that come before are read for what they say of the first ones.
    if (search === "beam") {
      const longest = Math.max(...stopStrings.map((stop) => new TextEncoder().encode(stop).length));
      return (answer) => {
        const text = answerText(tokenizer, [], { stopStrings });
        answer.slice(-longest - 8).forEach((token) => text.push(token));
        return text.stopped;
      };
    }
    const texts = new Map<number, ReturnType<typeof answerText>>();
    return (answer, row) => {
      const text = texts.get(row) ?? answerText(tokenizer, [], { stopStrings });
      texts.set(row, text);
      text.push(answer.at(-1)!);
      return text.stopped;
    };
  }

  #defaultStops(): number[] {
    const { tokenizer, text, defaults, endOfTurn } = this.#parts;
    const turns = [...endOfTurn, chatMlEnd].flatMap((token) => tokenizer?.tokenToId(token) ?? []);
    const eos = tokenizer?.eosId ?? null;
    return [...text.eosTokenIds, ...defaults.stopTokenIds, ...(eos === null ? [] : [eos]), ...turns];
  }

  #checkPrompt(prompt: readonly number[], row: number, limit: number): void {
    if (prompt.length === 0) throw new RangeError(`Cannot generate: prompt ${row} has no tokens; give at least one`);
    if (prompt.length >= limit) {
      throw new RangeError(
        `Cannot generate: prompt ${row} has ${prompt.length} tokens, which leaves no room in a context of ${limit}; ` +
          "shorten the prompt" + (limit < this.#parts.text.contextLength ? " or raise maxLength" : ""),
      );
    }
    this.#checkTokens(prompt);
  }

  /** The tokens of a prompt that are text. */
  #withoutImages(prompt: readonly number[]): readonly number[] {
    const { images } = this.#parts.backbone;
    return images === undefined ? prompt : prompt.filter((token) => token !== images.tokenId);
  }

  #checkTokens(tokens: Iterable<number>): void {
    checkTokens(tokens, this.#parts);
  }
}

/** The text of an answer as its tokens come, up to a stop string. Models may have tokens that their tokenizers lack: they read as nothing. */
function answerText(
  tokenizer: Tokenizer,
  prompt: readonly number[],
  options: Pick<GenerateOptions, "keepPrompt" | "stopStrings" | "keepStopString">,
) {
  const { keepPrompt = false, stopStrings = [], keepStopString = false } = options;
  const stream = textStream(tokenizer);
  const scanner = stopScanner(stopStrings, keepStopString);
  const read = (token: number) => tokenizer.idToToken(token) === null ? "" : stream.push(token);
  return {
    /** The text of the prompt, if it is wanted. */
    begin: () => keepPrompt ? prompt.map(read).join("") : "",
    push: (token: number) => scanner.push(read(token)),
    end: () => scanner.push(stream.end()) + scanner.end(),
    get stopped() {
      return scanner.stopped;
    },
  };
}
