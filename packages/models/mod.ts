/**
 * The model zoo: architectures and the tasks on top of them.
 *
 * @module
 */
export { buildModel, gemmaModel, llamaModel, paliGemmaModel } from "./architecture/architecture.ts";
export type { BuildOptions, BuiltModel, TextConfig } from "./architecture/architecture.ts";
export type { Backbone, CacheLayer, DecoderInputs, ImageInputs } from "./architecture/backbone.ts";
export { allocateCache, attend, cacheVariables, disposeCache, shownPositions, writeAt } from "./generation/cache.ts";
export { CausalLM } from "./task/causal_lm.ts";
export type {
  CausalLMParts,
  ChatGenerateOptions,
  DataOptions,
  FromPresetOptions,
  GenerateOptions,
  HubOptions,
} from "./task/causal_lm_options.ts";
export { GemmaBackbone } from "./gemma/gemma.ts";
export { GemmaCausalLM } from "./gemma_causal_lm.ts";
export { gemmaLayoutMap } from "./gemma_layout.ts";
export { Generator } from "./generation/generate.ts";
export { generationDefaults } from "./generation/generation_defaults.ts";
export type { GenerationDefaults } from "./generation/generation_defaults.ts";
export type { LayoutAxisOptions } from "./architecture/layout.ts";
export { Llama3CausalLM } from "./llama3_causal_lm.ts";
export { Llama3Backbone } from "./llama/llama.ts";
export { llamaFrequencies } from "./llama_rope.ts";
export { llamaLayoutMap } from "./llama_layout.ts";
export { encodePrompts, imageEncoding } from "./task/prompts.ts";
export type { EncodedPrompts, ImagePrompt, Prompt, PromptParts } from "./task/prompts.ts";
export { PaliGemmaCausalLM } from "./pali_gemma_causal_lm.ts";
export { PaliGemmaBackbone } from "./pali_gemma/pali_gemma.ts";
export { paliGemmaLayoutMap } from "./pali_gemma_layout.ts";
export { SiglipTower } from "./siglip/siglip.ts";
export { findPreset, folderOfPreset } from "./presets/find_folder.ts";
export type { FoundPreset } from "./presets/find_folder.ts";
export type { Preset, PresetTable } from "./presets/preset.ts";
export { buildPreset, isBuiltIn, presetOf, presets } from "./presets/presets.ts";
export type { PresetName } from "./presets/presets.ts";
export { filterLogits, logitFilters, penalizeRepetition } from "./generation/logit_filters.ts";
export type { FilterSettings, Logits } from "./generation/logit_filters.ts";
export { samplers, sampleToken, samplingOf } from "./generation/sampling.ts";
export type { SamplerName, Sampling, SamplingOptions } from "./generation/sampling.ts";
export type { GenerateTokens, SearchStep } from "./generation/search.ts";
export type { ScoredBatch, ScoreInputs, ScoreMode } from "./task/scoring.ts";
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
