/** What a partitioned graph sends, and how much memory it needs at its peak: estimates for a plan, from the graph alone. */
import { bytesOf, type CollectiveName, type Graph, type GraphNode, isCollective, type Tensor } from "@tessera/core";
import { bytesSent } from "../sharding/reshard.ts";

/** The collectives of one kind over one group of mesh axes. */
export interface Traffic {
  /** The kind of collective. */
  readonly op: CollectiveName;
  /** The mesh axes over which devices form groups. */
  readonly meshAxes: readonly string[];
  /** How many devices a group has. */
  readonly size: number;
  /** How many times it runs; a call that carries several tensors counts once. */
  readonly count: number;
  /** The total bytes that a device contributes. */
  readonly bytes: number;
  /** The total bytes that a device sends, by ring algorithms. */
  readonly sent: number;
}

/** Ops of the collective family that send nothing. */
const silent: ReadonlySet<CollectiveName> = new Set<CollectiveName>(["shardSlice", "deviceIndex"]);

/** What a local graph, or some nodes of it, sends, per kind of collective and group of mesh axes. */
export function trafficOf({ nodes }: { readonly nodes: Iterable<GraphNode> }): Traffic[] {
  const found = new Map<string, Traffic>();
  for (const { op, operands, attrs } of nodes) {
    if (!isCollective(op) || silent.has(op)) continue;
    const { meshAxes, size } = attrs as { meshAxes: readonly string[]; size: number };
    const key = `${op} ${meshAxes.join(" ")}`;
    const before = found.get(key) ?? { op, meshAxes, size, count: 0, bytes: 0, sent: 0 };
    const bytes = operands.reduce((sum, { type }) => sum + bytesOf(type), 0);
    found.set(key, {
      ...before,
      count: before.count + 1,
      bytes: before.bytes + bytes,
      sent: before.sent + bytesSent[op](bytes, size),
    });
  }
  return [...found.values()];
}

/**
 * The nodes of a graph that some values depend on, and the others, in order: for a loss, the forward and the backward pass. An
 * all-reduce that carries some of what they depend on and something else is among the others: it waits for both.
 */
export function splitAt(
  graph: Graph,
  values: readonly Tensor[],
): { readonly before: GraphNode[]; readonly after: GraphNode[] } {
  const needed = new Set(values);
  // Entries that are added while a set is walked are walked too.
  for (const { producer, index } of needed) {
    if (producer === null) continue;
    const { op, operands } = producer;
    (op === "allReduce" ? [operands[index]!] : operands).forEach((operand) => needed.add(operand));
  }
  const isBefore = ({ op, results }: GraphNode) =>
    op === "allReduce" ? results.every((result) => needed.has(result)) : results.some((result) => needed.has(result));
  return { before: graph.nodes.filter(isBefore), after: graph.nodes.filter((node) => !isBefore(node)) };
}

/** Memory of a graph on one device, in bytes. */
export interface LiveBytes {
  /** The inputs, which are there throughout. */
  readonly inputs: number;
  /** The most that values between inputs and outputs take at a time, outputs included. */
  readonly peak: number;
}

/** Ops whose result can share memory with their operand. */
const views: ReadonlySet<string> = new Set(["reshape"]);

/** The peak of what a graph keeps alive when its nodes run in order and each value is dropped after its last use. */
export function liveBytes(graph: Graph): LiveBytes {
  const last = new Map<Tensor, number>();
  const inputs = new Set(graph.inputs);
  const owner = new Map<Tensor, Tensor>();
  const ownerOf = (tensor: Tensor) => owner.get(tensor) ?? tensor;
  graph.nodes.forEach((node, at) => {
    node.operands.forEach((operand) => last.set(ownerOf(operand), at));
    if (views.has(node.op)) owner.set(node.results[0]!, ownerOf(node.operands[0]!));
    node.results.forEach((result) => last.set(ownerOf(result), at));
  });
  graph.outputs.forEach((output) => last.set(ownerOf(output), graph.nodes.length));
  const dropped = graph.nodes.map((): Tensor[] => []);
  for (const [tensor, at] of last) if (at < graph.nodes.length && !inputs.has(tensor)) dropped[at]!.push(tensor);
  let [now, peak] = [0, 0];
  graph.nodes.forEach((node, at) => {
    for (const result of node.results) if (ownerOf(result) === result) now += bytesOf(result.type);
    peak = Math.max(peak, now);
    for (const tensor of dropped[at]!) now -= bytesOf(tensor.type);
  });
  return { inputs: graph.inputs.reduce((sum, { type }) => sum + bytesOf(type), 0), peak };
}
