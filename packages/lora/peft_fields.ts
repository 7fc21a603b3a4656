/**
 * What Tessera does with each field of PEFT 0.21.2's `LoraConfig`: one table, so that a field of a newer PEFT stands out.
 *
 * A field is idle when it has a value that changes nothing, such as null, false, or an empty list.
 */

/** What becomes of a field of an adapter's config. */
export type PeftField =
  /** It is computed, as PEFT does. */
  | { readonly does: "computed" }
  /** It changes neither what an adapter computes nor how it is trained further. */
  | { readonly does: "nothing" }
  /** It changes training only: said once where it is not idle. */
  | { readonly does: "training"; readonly here: string }
  /** Tessera does not have it: an error where it is not idle. */
  | { readonly does: "refused"; readonly what: string; readonly right: string };

const computed: PeftField = { does: "computed" };
const nothing: PeftField = { does: "nothing" };

function refused(what: string, right: string): PeftField {
  return { does: "refused", what, right };
}

const merge = "merge it into its base with PEFT's merge_and_unload(), save that, and load it as a model";
const plain = "train a plain LoRA adapter on the same modules";

/** All fields, by name. */
export const peftFields: Readonly<Record<string, PeftField>> = {
  peft_type: computed,
  r: computed,
  lora_alpha: computed,
  use_rslora: computed,
  rank_pattern: computed,
  alpha_pattern: computed,
  init_lora_weights: computed,
  target_modules: computed,
  exclude_modules: computed,
  layers_to_transform: computed,
  layers_pattern: computed,
  base_model_name_or_path: computed,

  lora_dropout: { does: "training", here: "adapters are trained without dropout" },

  use_dora: refused("DoRA", merge),
  lora_bias: refused("biases", merge),
  bias: refused("biases", merge),
  modules_to_save: refused("modules that are trained whole, which replace those of the base", merge),
  trainable_token_indices: refused("tokens' embeddings that are trained", merge),
  target_parameters: refused("adapters of parameters that are no module's weight", merge),
  layer_replication: refused("layers that stand several times in the model", merge),
  kasa_config: refused("KaSA, which changes the base", merge),
  use_bdlora: refused("BD-LoRA's block-diagonal factors", merge),
  monteclora_config: refused("MonteCLoRA's sampled factors", plain),
  velora_config: refused("VeLoRA's backward pass", plain),
  arrow_config: refused("Arrow, which routes between several adapters", "load one of its adapters"),
  alora_invocation_tokens: refused(
    "activated LoRA, which adapts only what follows its invocation tokens",
    `it cannot be merged: ${plain}`,
  ),
  use_qalora: refused("QA-LoRA, whose A takes averages of inputs", plain),
  megatron_config: refused("Megatron's parallel layers", "convert it to the modules of Transformers"),

  // Linear layers store [out, in] whatever it says; PEFT sets it to false for them.
  fan_in_fan_out: nothing,
  // These belong to what is refused above, or to an initialization that is.
  megatron_core: nothing,
  qalora_group_size: nothing,
  loftq_config: nothing,
  eva_config: nothing,
  corda_config: nothing,
  lora_ga_config: nothing,
  // It ties adapters of the embeddings to those of the output; there are none of either.
  ensure_weight_tying: nothing,
  task_type: nothing,
  auto_mapping: nothing,
  peft_version: nothing,
  revision: nothing,
  inference_mode: nothing,
  runtime_config: nothing,
  // Older versions of PEFT wrote these.
  enable_lora: nothing,
  merge_weights: nothing,
};

/** Records that PEFT makes of an empty one, too, with values that it has by default. */
const madeOfNothing: readonly string[] = [
  "arrow_config",
  "kasa_config",
  "monteclora_config",
  "use_bdlora",
  "velora_config",
];

/** Whether a field has a value that changes nothing: null, false, 0, an empty text, list or record, or "none" for `bias`. */
export function isIdle(name: string, value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === 0 || value === "") return true;
  if (typeof value === "object") return Object.keys(value).length === 0 && !madeOfNothing.includes(name);
  return name === "bias" && value === "none";
}

/** Initializations that leave the base as it is, so that their adapters are plain ones. */
const plainInitializations = ["gaussian", "eva", "orthogonal", "mica"];

/** Those that take the adapter's start away from the base's weights, or round these: the adapter is right on that base only. */
const changedBase = /^(pissa(_niter_\d+)?|olora|corda|loftq|lora_ga)$/;

/** Why an adapter that was initialized so cannot be loaded; `null` where it can. */
export function initializationFault(value: unknown): string | null {
  if (typeof value !== "string") {
    if (value === undefined || value === null || typeof value === "boolean") return null;
    return "it must be a boolean or a name";
  }
  const name = value.toLowerCase();
  if (plainInitializations.includes(name)) return null;
  if (!changedBase.test(name)) {
    return `there is no such initialization; those of plain adapters are true, false, ${
      plainInitializations.map((known) => `"${known}"`).join(", ")
    }`;
  }
  const convert = name === "loftq"
    ? ""
    : "convert the adapter with PEFT's save_pretrained(path_initial_model_for_weight_conversion=…), or ";
  return `it changes the weights of the base, and the adapter is wrong on those of before; ${convert}` +
    'save the changed base, load the adapter on it, and set "init_lora_weights" to true';
}
