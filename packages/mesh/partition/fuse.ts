/**
 * Joins all-reduces that do not wait for each other into one that carries several tensors.
 *
 * Two all-reduces over the same devices can run as one when no path of the graph leads from one to the other. The number
 * of all-reduces that still follow a node on its longest path to an output tells: it falls along every path from one
 * all-reduce to another, so those of one number are independent, and joining them makes no cycle. Gradients that are only
 * read by the optimizer all have the lowest number, so that data parallelism costs one all-reduce a step.
 */
import { emit, type Graph, type GraphNode, type Tensor, trace, withOrigin } from "@tessera/core";

/** How many all-reduces follow each node on its longest path to an output, itself not counted. */
function followers(nodes: readonly GraphNode[]): ReadonlyMap<GraphNode, number> {
  const found = new Map<GraphNode, number>();
  for (const node of nodes.toReversed()) {
    const own = found.get(node) ?? 0;
    found.set(node, own);
    const through = own + (node.op === "allReduce" ? 1 : 0);
    for (const { producer } of node.operands) {
      if (producer !== null) found.set(producer, Math.max(found.get(producer) ?? 0, through));
    }
  }
  return found;
}

/** The all-reduces that run as one, in order. */
function groupsOf(nodes: readonly GraphNode[]): readonly (readonly GraphNode[])[] {
  const after = followers(nodes);
  const groups = new Map<string, GraphNode[]>();
  for (const node of nodes) {
    if (node.op !== "allReduce") continue;
    const { reduce, meshAxes } = node.attrs as { reduce: string; meshAxes: readonly string[] };
    const key = `${after.get(node)} ${reduce} ${meshAxes.join(" ")}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [node]);
    else group.push(node);
  }
  return [...groups.values()].filter((group) => group.length > 1);
}

/** A graph with as few all-reduces as its dependencies allow. */
export function fuseAllReduces(graph: Graph): Graph {
  const groups = groupsOf(graph.nodes);
  if (groups.length === 0) return graph;
  const groupOf = new Map(groups.flatMap((group) => group.map((node) => [node, group] as const)));
  const replaced = new Map<Tensor, Tensor>();
  const now = (tensor: Tensor) => replaced.get(tensor) ?? tensor;
  const traced = trace(graph.name, {}, () => {
    for (const unit of order(graph.nodes, groupOf)) {
      const [{ op, attrs, origin }] = unit as [GraphNode];
      const results = withOrigin(origin, () => emit(op, unit.flatMap((node) => node.operands.map(now)), attrs));
      unit.flatMap((node) => node.results).forEach((result, i) => replaced.set(result, results[i]!));
    }
    return {};
  });
  return { ...graph, nodes: traced.nodes, outputs: graph.outputs.map(now) };
}

/** The nodes in an order in which they can run when each group runs at once, as close to their own order as can be. */
function order(
  nodes: readonly GraphNode[],
  groupOf: ReadonlyMap<GraphNode, readonly GraphNode[]>,
): readonly (readonly GraphNode[])[] {
  const unitOf = new Map<GraphNode, readonly GraphNode[]>();
  for (const node of nodes) unitOf.set(node, groupOf.get(node) ?? [node]);
  const units = [...new Set(unitOf.values())];
  const missing = new Map<readonly GraphNode[], number>();
  const waiting = new Map<readonly GraphNode[], (readonly GraphNode[])[]>();
  for (const unit of units) {
    const needs = new Set(unit.flatMap(({ operands }) => operands).flatMap(({ producer }) => producer ?? []));
    const before = new Set([...needs].map((node) => unitOf.get(node)!));
    missing.set(unit, before.size);
    for (const other of before) {
      const list = waiting.get(other);
      if (list === undefined) waiting.set(other, [unit]);
      else list.push(unit);
    }
  }
  // Of the units that can run, the one that stood first goes first; a group stands where its last node stood.
  const position = new Map(nodes.map((node, i) => [node, i]));
  const placeOf = (unit: readonly GraphNode[]) => position.get(unit.at(-1)!)!;
  const ready = units.filter((unit) => missing.get(unit) === 0).sort((a, b) => placeOf(b) - placeOf(a));
  const done: (readonly GraphNode[])[] = [];
  for (let unit = ready.pop(); unit !== undefined; unit = ready.pop()) {
    done.push(unit);
    for (const next of waiting.get(unit) ?? []) {
      missing.set(next, missing.get(next)! - 1);
      if (missing.get(next) === 0) ready.splice(firstBefore(ready, placeOf, placeOf(next)), 0, next);
    }
  }
  return done;
}

/** Where in a list whose places fall the first one below `place` stands. */
function firstBefore<T>(list: readonly T[], placeOf: (item: T) => number, place: number): number {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (placeOf(list[middle]!) > place) low = middle + 1;
    else high = middle;
  }
  return low;
}
