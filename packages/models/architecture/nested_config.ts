/** Files of models that take images: a decoder's config within another one, and the names that their tensors have had. */
import type { NameRule } from "@tessera/convert";
import { z } from "zod";
import type { Architecture, ReadConfig } from "./architecture.ts";
import { type HfConfig, padTokenId, tokenIds } from "./hf_config.ts";
import { checkFile } from "./read_config.ts";

/** Published repositories and versions of Transformers name the tensors of such models differently. */
export const imageNames: readonly NameRule[] = [
  { from: /^(?:model\.)?language_model\.model\./, to: "model.language_model." },
  { from: /^(?:model\.)?language_model\.lm_head\./, to: "lm_head." },
  { from: /^(?:model\.)?vision_tower\.(?:vision_model\.)?/, to: "model.vision_tower." },
  { from: /^multi_modal_projector\./, to: "model.multi_modal_projector." },
];

/** A file's fields, some of them under other names: Transformers reads `image_token_id` as `image_token_index`. */
export function renamed(raw: HfConfig["raw"], names: Readonly<Record<string, string>>): HfConfig["raw"] {
  return Object.fromEntries(
    Object.entries(raw).flatMap(([name, value]) => {
      const other = names[name];
      if (other === undefined) return [[name, value]];
      return raw[other] === undefined ? [[other, value]] : [];
    }),
  );
}

const tokenFields = {
  bos_token_id: z.number().int().nonnegative().nullish(),
  eos_token_id: tokenIds.nullish(),
  pad_token_id: padTokenId.nullish(),
};

/** What is read of such a file beside its decoder. */
export interface NestedOptions {
  /** Fields of the decoder's config that say nothing here; none unless given. */
  readonly drop?: readonly string[];
  /** Fields of the outer config, for `outer`; none unless given. */
  readonly reads?: Readonly<Record<string, z.ZodType>>;
}

/**
 * The decoder's config, in the `text_config` of a file; tokens that only the outer file names are its own. `outer` has the fields
 * of the outer config that were asked for.
 *
 * @throws {TypeError} when the decoder is of another architecture, or a field is missing, misspelled or wrong.
 */
export function readNested<Config>(
  file: HfConfig,
  architecture: Architecture<Config>,
  { drop = [], reads = {} }: NestedOptions = {},
): { readonly decoder: ReadConfig<Config>; readonly outer: Readonly<Record<string, unknown>> } {
  const { path } = file;
  const types = z.enum(architecture.modelTypes as readonly [string, ...string[]]).default(architecture.modelTypes[0]!);
  const schema = { ...reads, text_config: z.looseObject({ model_type: types }), ...tokenFields };
  const outer = checkFile(file, schema) as Record<string, unknown> & { text_config: { model_type: string } };
  const names = Object.keys(tokenFields);
  const shared = Object.fromEntries(names.flatMap((name) => outer[name] == null ? [] : [[name, outer[name]]]));
  const inner = Object.fromEntries(
    Object.entries(outer.text_config).filter(([name, value]) =>
      !drop.includes(name) && (value != null || !(name in shared))
    ),
  );
  const { model_type: modelType } = outer.text_config;
  const decoder = architecture.readConfig({ path, modelType, raw: { ...shared, ...inner } });
  return { decoder, outer };
}
