/** What a preset is: a published model under KerasHub's name, with its dimensions, so that it can be described without files. */
import type { BuildOptions, BuiltModel } from "../architectures.ts";

/** A published model. */
export interface Preset {
  /** The repository on Hugging Face that holds its files, such as `google/gemma-2-9b`. */
  readonly repository: string;
  /** What it is, in a few words, such as `Gemma 2 9B, instruction-tuned`. */
  readonly title: string;
  /** Makes the model from the dimensions that are built in, without values. */
  readonly build: (options: BuildOptions) => BuiltModel;
}

/** The presets of one family, by name. */
export type PresetTable<Name extends string = string> = Readonly<Record<Name, Preset>>;
