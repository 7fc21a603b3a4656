/**
 * The model zoo: architectures and the tasks on top of them.
 *
 * @module
 */
export * from "./architectures.ts";
export { defineArchitecture } from "./architecture/architecture.ts";
export type {
  Architecture,
  ArchitectureSpec,
  BackboneClass,
  BackboneOf,
  BuildOptions,
  BuiltModel,
  PresetSpec,
  ReadConfig,
} from "./architecture/architecture.ts";
export { attend, writeAt } from "./architecture/attend.ts";
export { Backbone } from "./architecture/backbone.ts";
export type {
  BackboneOptions,
  CacheLayer,
  Decoder,
  DecoderInputs,
  ImageInputs,
  KeyValueProjections,
} from "./architecture/backbone.ts";
export { readHfConfig, torchDtypeOf } from "./architecture/hf_config.ts";
export type { HfConfig } from "./architecture/hf_config.ts";
export { ModelScope } from "./architecture/model_scope.ts";
export { rotaryFrequencies, rotation } from "./architecture/rotary.ts";
export type { RopeScaling } from "./architecture/rope_scaling.ts";
export type { TextConfig } from "./architecture/text_config.ts";
export { architectures, buildModel } from "./registry.ts";
export { allocateCache, cacheVariables, disposeCache, shownPositions } from "./generation/cache.ts";
export { CausalLM } from "./task/causal_lm.ts";
export type {
  CausalLMParts,
  ChatGenerateOptions,
  DataOptions,
  FromPresetOptions,
  GenerateOptions,
  HubOptions,
  LoadOptions as LoadPresetOptions,
  OpenOptions,
} from "./task/causal_lm_options.ts";
export { OpenedPreset, openPreset } from "./task/open_preset.ts";
export type { PresetSource } from "./task/open_preset.ts";
export { TokenGenerator } from "./generation/generate.ts";
export { generationDefaults } from "./generation/generation_defaults.ts";
export type { GenerationDefaults } from "./generation/generation_defaults.ts";
export type { LayoutAxisOptions } from "./architecture/layout.ts";
export { encodePrompts, imageEncoding } from "./task/prompts.ts";
export type { EncodedPrompts, ImagePrompt, Prompt, PromptParts } from "./task/prompts.ts";
export { findPreset, folderOfPreset } from "./presets/find_folder.ts";
export type { FoundPreset } from "./presets/repository_folder.ts";
export type { Preset } from "./presets/presets.ts";
export { buildPreset, isBuiltIn, presetOf, presets } from "./presets/presets.ts";
export type { PresetName } from "./registry.ts";
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
export { checkTrainingCapacity } from "./plan/capacity.ts";
export type { CapacityTarget } from "./plan/capacity.ts";
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
