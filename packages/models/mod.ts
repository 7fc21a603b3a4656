/**
 * The model zoo: architectures and the tasks on top of them.
 *
 * @module
 */
export { buildModel, gemmaModel, llamaModel, paliGemmaModel } from "./architectures.ts";
export type { BuildOptions, BuiltModel, TextConfig } from "./architectures.ts";
export type { Backbone, CacheLayer, DecoderInputs, ImageInputs } from "./backbone.ts";
export { allocateCache, attend, cacheVariables, disposeCache, shownPositions, writeAt } from "./cache.ts";
export { CausalLM } from "./causal_lm.ts";
export type {
  CausalLMParts,
  ChatGenerateOptions,
  DataOptions,
  FromPresetOptions,
  GenerateOptions,
  HubOptions,
} from "./causal_lm_options.ts";
export { GemmaBackbone } from "./gemma.ts";
export { GemmaCausalLM } from "./gemma_causal_lm.ts";
export { gemmaLayoutMap } from "./gemma_layout.ts";
export { Generator } from "./generate.ts";
export { generationDefaults } from "./generation_defaults.ts";
export type { GenerationDefaults } from "./generation_defaults.ts";
export type { LayoutAxisOptions } from "./layout_axes.ts";
export { Llama3CausalLM } from "./llama3_causal_lm.ts";
export { Llama3Backbone } from "./llama.ts";
export { llamaFrequencies } from "./llama_rope.ts";
export { llamaLayoutMap } from "./llama_layout.ts";
export { encodePrompts, imageEncoding } from "./prompts.ts";
export type { EncodedPrompts, ImagePrompt, Prompt, PromptParts } from "./prompts.ts";
export { PaliGemmaCausalLM } from "./pali_gemma_causal_lm.ts";
export { PaliGemmaBackbone } from "./pali_gemma.ts";
export { paliGemmaLayoutMap } from "./pali_gemma_layout.ts";
export { SiglipTower } from "./siglip.ts";
export { findPreset, folderOfPreset } from "./presets/find_folder.ts";
export type { FoundPreset } from "./presets/find_folder.ts";
export type { Preset, PresetTable } from "./presets/preset.ts";
export { buildPreset, isBuiltIn, presetOf, presets } from "./presets/presets.ts";
export type { PresetName } from "./presets/presets.ts";
export { filterLogits, logitFilters, penalizeRepetition } from "./logit_filters.ts";
export type { FilterSettings, Logits } from "./logit_filters.ts";
export { samplers, sampleToken, samplingOf } from "./sampling.ts";
export type { SamplerName, Sampling, SamplingOptions } from "./sampling.ts";
export type { GenerateTokens, SearchStep } from "./search.ts";
export type { ScoredBatch, ScoreInputs, ScoreMode } from "./scoring.ts";
export { devicesOf, distributionFor, parseMeshAxes } from "./plan/distributions.ts";
export type { LayoutChoice, MeshAxes } from "./plan/distributions.ts";
export { hardware } from "./plan/hardware.ts";
export type { Hardware, HardwareName } from "./plan/hardware.ts";
export { checkTrainingFits } from "./plan/fits.ts";
export type { FitTarget } from "./plan/fits.ts";
export { planTraced, planTraining, traceTraining } from "./plan/plan.ts";
export type {
  DeviceMemory,
  DirectedTraffic,
  Direction,
  PlanOptions,
  TracedTraining,
  Training,
  TrainingPlan,
} from "./plan/plan.ts";
export type { Limit, StepTime } from "./plan/step_time.ts";
export { candidatesFor, suggestMeshes } from "./plan/suggest.ts";
export type { Candidate, Suggestion, SuggestOptions } from "./plan/suggest.ts";
