/**
 * An architecture: all that is known of one, defined once. From the definition follow the class of its backbone, the config in both
 * spellings, the correspondence to checkpoints, the published layouts and the presets.
 */
import type { NameRule, TensorRow } from "@tessera/convert";
import type { DeviceMesh, LayoutMap } from "@tessera/mesh";
import { type OptionNames, pickOptions } from "@tessera/text";
import { z } from "zod";
import { Backbone, backboneOptionNames, type BackboneOptions, type Decoder } from "./backbone.ts";
import type { ConfigOf, FieldTable } from "./fields.ts";
import { type HfConfig, torchDtypeOf } from "./hf_config.ts";
import { jointRules, type LayoutAxisOptions, layoutMapOf, type LayoutRules } from "./layout.ts";
import type { ModelScope } from "./model_scope.ts";
import {
  checkConfig,
  checkFile,
  checkFromHf,
  type ConfigSpec,
  fieldsFromHf,
  fieldsToHf,
  fileSchema,
  floatFields,
} from "./read_config.ts";
import { type TextConfig, textFromHf, textSchema, textToHf } from "./text_config.ts";

/** A published model: where its files are, and its dimensions, so that it can be described without them. */
export interface PresetSpec<Config> {
  /** What it is, in a few words, such as `Gemma 2 9B, instruction-tuned`. */
  readonly title: string;
  /** The repository on Hugging Face that holds its files, such as `google/gemma-2-9b`. */
  readonly repository: string;
  /** The published number of parameters. */
  readonly parameters: number;
  /** Its dimensions. */
  readonly config: Config;
  /** What its config says of texts, where that differs from the architecture's `text`. */
  readonly text?: Partial<TextConfig>;
}

/** What checkpoints hold that a model leaves out, such as towers for images where only text is read. */
export interface LeftOut {
  /** The names of its tensors. */
  readonly tensors: RegExp;
  /** What it is, to follow "its", such as `vision tower`. */
  readonly what: string;
}

/** What an architecture is defined by. */
export interface ArchitectureSpec<Table extends FieldTable, Presets> extends ConfigSpec<Table> {
  /** What the names of its backbone and its task begin with, such as `gemma`. */
  readonly name: string;
  /** The `model_type` of its checkpoints; several where files name its generations. */
  readonly modelTypes: readonly string[];
  /** What a file means by leaving out its context and its special tokens. */
  readonly inFile: TextConfig;
  /** What models made of a config alone have, without a file. */
  readonly text: (config: ConfigOf<Table>) => TextConfig;
  /** The longest text, where a rotary embedding is stretched beyond what the file says; what it says unless given. */
  readonly context?: (config: ConfigOf<Table>, said: number) => number;
  /** Tokens that end a turn of a conversation, beside those that end a text. */
  readonly endOfTurn: readonly string[];
  /** The published models by their names under KerasHub, or their repositories'. */
  readonly presets: Presets;
  /** Other names that files give tensors; none unless given. */
  readonly names?: readonly NameRule[];
  /** Tensors that a checkpoint may hold and that say nothing new, beside copies and frequencies. */
  readonly redundant?: readonly RegExp[];
  /** What a checkpoint of a config holds beyond the model, which is loaded without it; nothing unless given. */
  readonly leftOut?: (config: ConfigOf<Table>) => LeftOut | null;
  /** Fields of files that `read` reads, so that a misspelling of them is noticed. */
  readonly reads?: readonly string[];
  /** Names of nested fields in files that Transformers wants with a decimal point, beside those of the fields. */
  readonly floats?: readonly string[];
  /** A file's fields under the names that the table has; as they stand unless given. */
  readonly prepare?: (raw: HfConfig["raw"]) => HfConfig["raw"];
  /** The fields of a file as it has them, the inverse of `prepare`; as they stand unless given. */
  readonly arrange?: (written: Record<string, unknown>) => Record<string, unknown>;
  /** What a file says of texts, where that is nested in it; its outermost fields unless given. */
  readonly readText?: (file: HfConfig) => TextConfig;
  /** Fields that follow from several of a file's; throws where they ask for what is not computed. */
  readonly read?: (file: HfConfig, fields: Readonly<Record<string, unknown>>) => Partial<ConfigOf<Table>>;
  /** The `model_type` of a config, and what `read` reads; throws where no file can say it. */
  readonly write: (
    config: ConfigOf<Table>,
    text: TextConfig,
    dtype: string,
  ) => { readonly model_type: string } & Record<string, unknown>;
  /** Declares the variables and says how tokens go through them. */
  readonly build: (config: ConfigOf<Table>, scope: ModelScope) => Decoder;
}

/** A config that was read from a file. */
export interface ReadConfig<Config> {
  /** The backbone's config. */
  readonly config: Config;
  /** What the file says of texts. */
  readonly text: TextConfig;
}

/** A backbone and its correspondence to checkpoints. */
export interface BuiltModel<B extends Backbone = Backbone> {
  /** The backbone, without values. */
  readonly backbone: B;
  /** What the config says beyond the backbone. */
  readonly text: TextConfig;
  /** Each variable's tensor in the checkpoint. */
  readonly rows: readonly TensorRow[];
  /** Tensors that the checkpoint may hold and that no variable takes. */
  readonly redundant: readonly RegExp[];
  /** What the checkpoint holds beyond the model, which is loaded without it; `null` for nothing. */
  readonly leftOut: LeftOut | null;
  /** Tensors that the checkpoint may hold a second time under another name: that name, and the tensor's own. */
  readonly copies: Readonly<Record<string, string>>;
  /** Other names that files give the tensors. */
  readonly names: readonly NameRule[];
  /** Tokens that end a turn of a conversation, beside those that end a text. */
  readonly endOfTurn: readonly string[];
  /** Fields of the config in Hugging Face's form that Transformers wants with a decimal point. */
  readonly floatFields: ReadonlySet<string>;
  /** The config in Hugging Face's form, for saving, given the dtype of the saved weights. */
  readonly toHf: (dtype: string) => Record<string, unknown>;
}

/** How a model is made. */
export interface BuildOptions extends BackboneOptions {
  /** What is said of its texts; as in published models unless given. */
  readonly text?: Partial<TextConfig>;
}

/** The names of `BuildOptions`. */
export const buildOptionNames: OptionNames<BuildOptions> = { ...backboneOptionNames, text: true };

/** A backbone of one architecture, which `instanceof` tells from others. */
export interface BackboneOf<Config> extends Backbone<Config> {}

/** Makes backbones of one architecture, as a class: `new GemmaBackbone({ … })`. */
export interface BackboneClass<Config> {
  new (config: Config, options?: BackboneOptions): BackboneOf<Config>;
  /**
   * The published layouts of the variables of any model of the architecture, on a mesh with a batch and a model axis.
   *
   * @throws {RangeError} when the mesh lacks one of the two axes.
   */
  getLayoutMap<Axis extends string>(
    mesh: DeviceMesh<Axis>,
    options?: LayoutAxisOptions<NoInfer<Axis>>,
  ): LayoutMap<Axis>;
}

/** An architecture that `defineArchitecture` made. */
export interface Architecture<Config = unknown, Presets = unknown> {
  /** The name in messages, such as `Gemma`. */
  readonly title: string;
  /** What the names of its backbone and its task begin with, such as `gemma`. */
  readonly name: string;
  /** The `model_type` of its checkpoints. */
  readonly modelTypes: readonly string[];
  /** The published models. */
  readonly presets: Presets;
  /** Tokens that end a turn of a conversation, beside those that end a text. */
  readonly endOfTurn: readonly string[];
  /** Fields of its configs in Hugging Face's form that Transformers wants with a decimal point. */
  readonly floatFields: readonly string[];
  /** The class of its backbones. */
  readonly Backbone: BackboneClass<Config>;
  /** Checks a config. Throws when a field is out of range or two fields contradict each other. */
  checkConfig(config: Config): void;
  /** The config of a file. Throws when a field is missing, misspelled or wrong, or asks for what is not computed. */
  readConfig(file: HfConfig): ReadConfig<Config>;
  /** The config in Hugging Face's form. Throws when no file can say it. */
  writeConfig(config: Config, text: TextConfig, dtype: string): Record<string, unknown>;
  /** A model without values. Throws when a field is out of range. */
  build(config: Config, options?: BuildOptions): BuiltModel<BackboneOf<Config>>;
}

/** Rotary frequencies are computed, whatever a checkpoint holds of them. */
const frequencies = /\.rotary_emb\.inv_freq$/;

/** Defines an architecture. */
export function defineArchitecture<
  const Table extends FieldTable,
  const Presets extends Readonly<Record<string, PresetSpec<ConfigOf<Table>>>>,
>(spec: ArchitectureSpec<Table, Presets>): Architecture<ConfigOf<Table>, Presets> {
  type Config = ConfigOf<Table>;
  const { title, name, modelTypes, presets, endOfTurn, names = [], redundant = [] } = spec;
  const kind = { title, name, checkConfig: (config: Config) => checkConfig(spec, config), build: spec.build };
  let rules: LayoutRules | undefined;
  const OwnBackbone = class extends Backbone<Config> {
    constructor(config: Config, options?: BackboneOptions) {
      super(kind, config, options);
    }
    static getLayoutMap<Axis extends string>(mesh: DeviceMesh<Axis>, options?: LayoutAxisOptions<NoInfer<Axis>>) {
      const configs = new Set(Object.values(presets).map(({ config }) => config));
      rules ??= jointRules([...configs].map((config) => new OwnBackbone(config).declared.layouts));
      return layoutMapOf(title, rules, mesh, options);
    }
  };

  function readConfig(given: HfConfig): ReadConfig<Config> {
    const { path, modelType } = given;
    if (!modelTypes.includes(modelType)) {
      const expected = modelTypes.map((type) => `"${type}"`).join(" or ");
      throw new TypeError(`Cannot use "${path}" for ${title}: "model_type" is "${modelType}", expected ${expected}`);
    }
    const file = spec.prepare === undefined ? given : { ...given, raw: spec.prepare(given.raw) };
    const read = Object.fromEntries((spec.reads ?? []).map((field) => [field, z.unknown().optional()]));
    const dtype = { dtype: z.unknown().optional(), torch_dtype: z.unknown().optional() };
    const parsed = checkFile(file, { ...read, ...dtype, ...textSchema(spec.inFile), ...fileSchema(spec, modelType) });
    torchDtypeOf(file.raw, path);
    const config = { ...fieldsFromHf(spec.fields, parsed, file), ...spec.read?.(file, parsed) } as Config;
    checkFromHf(spec, config, path);
    return { config, text: spec.readText?.(file) ?? textFromHf(parsed) };
  }

  function writeConfig(config: Config, text: TextConfig, dtype: string): Record<string, unknown> {
    const written = spec.write(config, text, dtype);
    const fields = { ...textToHf(text, dtype), ...fieldsToHf(spec, config, written.model_type), ...written };
    return spec.arrange?.(fields) ?? fields;
  }

  const floats = [...floatFields(spec.fields), ...spec.floats ?? []];
  return {
    title,
    name,
    modelTypes,
    presets,
    endOfTurn,
    floatFields: floats,
    Backbone: OwnBackbone,
    checkConfig: kind.checkConfig,
    readConfig,
    writeConfig,
    build(config, options = {}) {
      const backbone = new OwnBackbone(config, pickOptions<BackboneOptions>(options, backboneOptionNames));
      const { rows, copies, ignored } = backbone.declared;
      const leftOut = spec.leftOut?.(config) ?? null;
      const said = { ...spec.text(config), ...options.text };
      const text = { ...said, contextLength: spec.context?.(config, said.contextLength) ?? said.contextLength };
      return {
        backbone,
        text,
        rows,
        copies,
        redundant: [frequencies, ...redundant, ...ignored, ...(leftOut === null ? [] : [leftOut.tensors])],
        leftOut,
        names,
        endOfTurn,
        floatFields: new Set(floats),
        toHf: (dtype) => writeConfig(config, said, dtype),
      };
    },
  };
}
