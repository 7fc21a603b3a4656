/**
 * The compiler: dtypes, the graph, ops, tracing, gradients and passes.
 *
 * @module
 */
export * from "@tessera/core";
