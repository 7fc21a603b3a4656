/**
 * The interface of backends, and the executor that runs a sharded program.
 *
 * @module
 */
export * from "@tessera/runtime";
