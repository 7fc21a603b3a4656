/** What a checkpoint's `generation_config.json` says of generation, as options. */
import type { GenerationConfig } from "./generation_config.ts";
import type { SamplingOptions } from "./sampling.ts";

/** How a model generates unless it is told otherwise. */
export interface GenerationDefaults {
  /** How tokens are chosen. */
  readonly sampling: SamplingOptions;
  /** Tokens that end a text, beside the config's. */
  readonly stopTokenIds: readonly number[];
}

/**
 * The defaults that a checkpoint sets. The filters of a checkpoint that does not sample by itself apply as soon as a user asks for
 * a temperature. What the file leaves out is off, `top_k` too, for which Transformers would take 50.
 */
export function generationDefaults(config: GenerationConfig | null): GenerationDefaults {
  if (config === null) return { sampling: {}, stopTokenIds: [] };
  const { doSample, temperature, topK, topP, minP, repetitionPenalty } = config;
  const settings = {
    temperature: doSample ? temperature ?? 1 : null,
    // In the file, 0 stands for none.
    topK: topK || null,
    topP: topP || null,
    minP: minP || null,
    repetitionPenalty,
  };
  const given = Object.entries(settings).filter(([, value]) => value !== null);
  return { sampling: Object.fromEntries(given), stopTokenIds: config.eosTokenIds };
}
