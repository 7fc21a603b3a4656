/**
 * Low-rank adapters (LoRA, arXiv 2106.09685): enable, merge, unload, save and load.
 *
 * @module
 */
export { enableLora, isLoraAdapter, loraAdapters, loraOptionNames, unloadLora } from "./enable.ts";
export type { Adaptable, LoraOptions, LoraTarget } from "./enable.ts";
export { keras, peft } from "./layouts.ts";
export type { LoraAdapter, LoraLayout } from "./layouts.ts";
export { mergeLora } from "./merge.ts";
export { readPeftConfig } from "./peft_config.ts";
export type { PeftConfig, PeftTargets } from "./peft_config.ts";
export type { ModulePatterns } from "./peft_patterns.ts";
export { loadAdapter, saveAdapter } from "./peft_files.ts";
export type { LoadAdapterOptions } from "./peft_files.ts";
export type { ModuleNames } from "./peft_targets.ts";
