/** The architectures that Tessera has, one line each; `registry.ts` finds them here. */
export * from "./gemma/exports.ts";
export * from "./gemma3/exports.ts";
export * from "./gemma4/exports.ts";
export * from "./llama/exports.ts";
export * from "./mistral/exports.ts";
export * from "./pali_gemma/exports.ts";
export * from "./phi3/exports.ts";
export * from "./qwen2/exports.ts";
export * from "./qwen3/exports.ts";
export * from "./smollm3/exports.ts";
