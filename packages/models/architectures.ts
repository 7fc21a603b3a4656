/** The architectures that a checkpoint can be of: how each is built from a config and which tensors it has. */
import {
  gemma2Rows,
  type GemmaConfig,
  gemmaConfig,
  gemmaFromHf,
  gemmaRedundant,
  gemmaRows,
  gemmaToHf,
  type HfConfig,
  type LlamaConfig,
  llamaConfig,
  llamaFromHf,
  llamaRedundant,
  llamaRows,
  llamaToHf,
  type NameRule,
  paliGemma2Rows,
  type PaliGemmaConfig,
  paliGemmaConfig,
  paliGemmaFromHf,
  paliGemmaNames,
  paliGemmaRedundant,
  paliGemmaRows,
  paliGemmaToHf,
  type TensorRow,
} from "@tessera/convert";
import type { Backbone, BackboneOptions } from "./backbone.ts";
import { GemmaBackbone } from "./gemma.ts";
import { Llama3Backbone } from "./llama.ts";
import { llamaContext } from "./llama_rope.ts";
import { PaliGemmaBackbone } from "./pali_gemma.ts";

/** What a checkpoint's config says beyond the backbone. */
export interface TextConfig {
  /** The longest text, in tokens. */
  readonly contextLength: number;
  /** The token that begins a text; `null` for none. */
  readonly bosTokenId: number | null;
  /** The tokens that end a text. */
  readonly eosTokenIds: readonly number[];
  /** The token that fills a batch; `null` for none. */
  readonly padTokenId: number | null;
}

/** A backbone made from a checkpoint's config. */
export interface BuiltModel {
  /** The backbone, without values. */
  readonly backbone: Backbone;
  /** What the config says beyond the backbone. */
  readonly text: TextConfig;
  /** The tensors of the checkpoint. */
  readonly rows: readonly TensorRow[];
  /** Tensors that the checkpoint may hold and that no variable takes. */
  readonly redundant: readonly RegExp[];
  /** Tensors that the checkpoint may hold a second time under another name: that name, and the tensor's own. */
  readonly copies: Readonly<Record<string, string>>;
  /** Other names that files give the tensors; none when left out. */
  readonly names?: readonly NameRule[];
  /** The config in Hugging Face's form, for saving, given the dtype of the saved weights. */
  readonly toHf: (dtype: string) => Record<string, unknown>;
}

/** How a backbone is made. */
export interface BuildOptions extends BackboneOptions {}

type Build = (config: HfConfig, options: BuildOptions) => BuiltModel;

/** What the configs of all text models say alike. */
function textOf(hf: {
  readonly max_position_embeddings: number;
  readonly bos_token_id: number | null;
  readonly eos_token_id: readonly number[];
  readonly pad_token_id: number | null;
}): TextConfig {
  return {
    contextLength: hf.max_position_embeddings,
    bosTokenId: hf.bos_token_id,
    eosTokenIds: hf.eos_token_id,
    padTokenId: hf.pad_token_id,
  };
}

function gemma(config: HfConfig, options: BuildOptions): BuiltModel {
  const hf = gemmaConfig(config);
  return gemmaModel(gemmaFromHf(hf), textOf(hf), options);
}

function llama(config: HfConfig, options: BuildOptions): BuiltModel {
  const hf = llamaConfig(config);
  return llamaModel(llamaFromHf(hf), textOf(hf), options);
}

function paliGemma(config: HfConfig, options: BuildOptions): BuiltModel {
  const hf = paliGemmaConfig(config);
  return paliGemmaModel(paliGemmaFromHf(hf), textOf(hf.text), options);
}

/** The head of a model that has none of its own may stand in the file all the same. */
const tiedHead = { "lm_head.weight": "model.embed_tokens.weight" };

/** A Gemma without a checkpoint, for models that are trained from random weights. */
export function gemmaModel(config: GemmaConfig, text: TextConfig, options: BuildOptions = {}): BuiltModel {
  return {
    backbone: new GemmaBackbone(config, options),
    text,
    rows: config.usePostFfwNorm ? gemma2Rows : gemmaRows,
    redundant: gemmaRedundant,
    copies: tiedHead,
    toHf: (dtype) => gemmaToHf(config, { ...text, maxPositionEmbeddings: text.contextLength, dtype }),
  };
}

/** A Llama without a checkpoint, for models that are trained from random weights. */
export function llamaModel(config: LlamaConfig, text: TextConfig, options: BuildOptions = {}): BuiltModel {
  return {
    backbone: new Llama3Backbone(config, options),
    text: { ...text, contextLength: llamaContext(config, text.contextLength) },
    rows: llamaRows,
    redundant: llamaRedundant(config),
    copies: config.tieWordEmbeddings ? tiedHead : {},
    toHf: (dtype) => llamaToHf(config, { ...text, maxPositionEmbeddings: text.contextLength, dtype }),
  };
}

/** A PaliGemma without a checkpoint, for models that are trained from random weights. */
export function paliGemmaModel(config: PaliGemmaConfig, text: TextConfig, options: BuildOptions = {}): BuiltModel {
  return {
    backbone: new PaliGemmaBackbone(config, options),
    text,
    rows: config.text.usePostFfwNorm ? paliGemma2Rows : paliGemmaRows,
    redundant: paliGemmaRedundant,
    copies: { "lm_head.weight": "model.language_model.embed_tokens.weight" },
    names: paliGemmaNames,
    toHf: (dtype) => paliGemmaToHf(config, { ...text, maxPositionEmbeddings: text.contextLength, dtype }),
  };
}

/** One row per `model_type`. */
const architectures: Readonly<Record<string, Build>> = { gemma, gemma2: gemma, llama, paligemma: paliGemma };

/**
 * The model that a checkpoint's config describes, without values.
 *
 * @throws {TypeError} when Tessera does not know the architecture, or when the config is wrong.
 */
export function buildModel(config: HfConfig, options: BuildOptions = {}): BuiltModel {
  const build = Object.hasOwn(architectures, config.modelType) ? architectures[config.modelType] : undefined;
  if (build === undefined) {
    const names = Object.keys(architectures);
    // A program has written the config: "gemma3" or "mllama" is no slip, but another architecture.
    const bare = (name: string) => name.replaceAll(/[_-]/g, "").toLowerCase();
    const meant = names.find((name) => bare(name) === bare(config.modelType));
    throw new TypeError(
      `Cannot load "${config.path}": Tessera has no architecture for "model_type": "${config.modelType}"; ` +
        (meant === undefined ? "" : `did you mean "${meant}"? `) +
        `it has ${names.map((name) => `"${name}"`).join(", ")}`,
    );
  }
  return build(config, options);
}
