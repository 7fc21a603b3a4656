/**
 * Low-rank adapters, and PEFT's adapter folders.
 *
 * @module
 */
export * from "@tessera/lora";
