/**
 * Device meshes, layout maps and distributions; propagation and partitioning of a graph.
 *
 * @module
 */
export * from "@tessera/mesh";
