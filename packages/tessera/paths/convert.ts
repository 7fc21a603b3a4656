/**
 * Checkpoint tensors as variables, both ways.
 *
 * @module
 */
export * from "@tessera/convert";
