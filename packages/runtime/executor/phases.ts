/** Long work in pieces, so that whatever else waits for the event loop runs in between. */

import type { Graph } from "@tessera/core";

/** Lets whatever else waits for the event loop run. */
export function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

/** A graph after some passes; a big one takes tens of milliseconds in each, so the event loop runs in between. */
export async function runPhases(graph: Graph, passes: readonly ((graph: Graph) => Graph)[]): Promise<Graph> {
  let current = graph;
  for (const pass of passes) {
    current = pass(current);
    await pause();
  }
  return current;
}
