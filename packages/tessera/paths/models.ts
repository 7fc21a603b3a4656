/**
 * Architectures, presets, generation, plans and the tasks.
 *
 * @module
 */
export * from "@tessera/models";
