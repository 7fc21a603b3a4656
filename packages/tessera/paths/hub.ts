/**
 * The Hugging Face Hub: downloads and pushes.
 *
 * @module
 */
export * from "@tessera/hub";
