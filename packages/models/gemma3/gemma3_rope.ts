/** The two rotary embeddings of Gemma 3, that of layers with a window and that of the others, in files of either spelling. */
import { checkJson } from "@tessera/files";
import { z } from "zod";
import type { HfConfig } from "../architecture/hf_config.ts";
import { readRope, ropeFields, type RopeScaling, writeRope } from "../architecture/rope_scaling.ts";

/** What a config says of its rotary embeddings. */
export interface Gemma3Rope {
  /** The base of layers with a window; 10000 unless given. */
  readonly localRopeMaxWavelength?: number;
  /** The base of the others; 1000000 unless given. */
  readonly globalRopeMaxWavelength?: number;
  /** How the former are stretched; not at all unless given. */
  readonly localRopeScaling?: RopeScaling | null;
  /** How the latter are stretched; not at all unless given. */
  readonly globalRopeScaling?: RopeScaling | null;
}

/** Fields of files that `readGemma3Rope` reads. */
export const gemma3RopeFields: readonly string[] = [...ropeFields, "rope_local_base_freq"];

const parameters = z.looseObject({}).nullish();
const schema = z.looseObject({
  rope_theta: z.number().positive().default(1_000_000),
  rope_local_base_freq: z.number().positive().default(10_000),
  rope_scaling: parameters,
  rope_parameters: z.strictObject({ sliding_attention: parameters, full_attention: parameters }).nullish(),
});

/**
 * The rotary embeddings of a file: `rope_parameters` by kind of layer, or the older fields, of which `rope_scaling` is that of the
 * layers without a window.
 *
 * @throws {TypeError} when a field is missing or wrong, or an embedding is stretched in a way that is not computed.
 */
export function readGemma3Rope({ path, raw, modelType }: HfConfig, context: number): Required<Gemma3Rope> {
  const given = Object.fromEntries(Object.keys(schema.shape).map((name) => [name, raw[name]]));
  const found = checkJson(path, given, schema);
  const one = (theta: number, ...said: readonly (Record<string, unknown> | null | undefined)[]) =>
    readRope(
      { path, modelType, raw: { rope_parameters: Object.assign({ rope_theta: theta }, ...said) } },
      "Gemma 3",
      context,
    );
  const local = one(found.rope_local_base_freq, found.rope_parameters?.sliding_attention);
  const global = one(found.rope_theta, found.rope_parameters?.full_attention, found.rope_scaling);
  return {
    localRopeMaxWavelength: local.theta,
    globalRopeMaxWavelength: global.theta,
    localRopeScaling: local.scaling,
    globalRopeScaling: global.scaling,
  };
}

/** The fields of a file, in Transformers 5's spelling and, as far as it goes, in the older one. */
export function writeGemma3Rope(config: Gemma3Rope): Record<string, unknown> {
  const { localRopeScaling = null, globalRopeScaling = null } = config;
  const local = writeRope({ theta: config.localRopeMaxWavelength ?? 10_000, scaling: localRopeScaling });
  const global = writeRope({ theta: config.globalRopeMaxWavelength ?? 1_000_000, scaling: globalRopeScaling });
  return {
    ...global,
    rope_local_base_freq: local.rope_theta,
    rope_parameters: { sliding_attention: local.rope_parameters, full_attention: global.rope_parameters },
  };
}
