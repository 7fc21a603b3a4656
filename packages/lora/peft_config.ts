/** PEFT's `adapter_config.json`: https://huggingface.co/docs/peft/developer_guides/checkpoint */
import { type Folder, folderOf, readJson } from "@tessera/files";
import { z } from "zod";

/** What an adapter folder says of its adapter. */
export interface PeftConfig {
  /** The rank. */
  readonly r: number;
  /** The scale of the update, times the rank. */
  readonly loraAlpha: number;
  /** Whether the update is scaled by alpha/√rank rather than alpha/rank. */
  readonly useRslora: boolean;
  /** The base model that the adapter was trained on; `null` when it does not say. */
  readonly baseModel: string | null;
}

const off = (what: string) => z.literal(false, `Tessera does not load adapters with ${what}`).nullish();

const schema = z.looseObject({
  peft_type: z.literal("LORA", 'Tessera loads adapters of type "LORA" only'),
  r: z.number().int().positive(),
  lora_alpha: z.number().positive(),
  use_rslora: z.boolean().nullish(),
  use_dora: off("DoRA"),
  fan_in_fan_out: off("fan_in_fan_out"),
  lora_bias: off("biases"),
  bias: z.literal("none", "Tessera does not load adapters with biases").nullish(),
  base_model_name_or_path: z.string().nullish(),
  rank_pattern: z.record(z.string(), z.number()).refine((pattern) => Object.keys(pattern).length === 0, {
    error: "Tessera does not load adapters whose rank differs by layer",
  }).nullish(),
  alpha_pattern: z.record(z.string(), z.number()).refine((pattern) => Object.keys(pattern).length === 0, {
    error: "Tessera does not load adapters whose alpha differs by layer",
  }).nullish(),
  modules_to_save: z.array(z.string()).max(0, "Tessera does not load adapters that replace whole modules").nullish(),
});

/**
 * Reads and checks the config of an adapter folder.
 *
 * @throws {Error} when it cannot be read.
 * @throws {SyntaxError} when it is not JSON.
 * @throws {TypeError} when a field is wrong, or asks for a kind of adapter that Tessera does not have.
 */
export async function readPeftConfig(folder: string | Folder): Promise<PeftConfig> {
  const config = await readJson(folderOf(folder).file("adapter_config.json"), schema);
  return {
    r: config.r,
    loraAlpha: config.lora_alpha,
    useRslora: config.use_rslora ?? false,
    baseModel: config.base_model_name_or_path ?? null,
  };
}
