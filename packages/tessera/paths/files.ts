/**
 * Folders and files, on disk or in memory; safetensors and checkpoints.
 *
 * @module
 */
export * from "@tessera/files";
