/**
 * Variables, layers and programs over variables.
 *
 * @module
 */
export * from "@tessera/nn";
