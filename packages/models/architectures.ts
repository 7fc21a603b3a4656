/** The architectures that Tessera has, one line each; `registry.ts` finds them here. */
export * from "./gemma/mod.ts";
export * from "./llama/mod.ts";
export * from "./pali_gemma/mod.ts";
