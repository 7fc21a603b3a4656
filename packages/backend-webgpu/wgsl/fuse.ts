/** Which elementwise nodes of a graph are computed by one program. */

import { type Graph, type GraphNode, sizeOf, type Tensor } from "@tessera/core";
import { type Group, isElementwise } from "./elementwise.ts";

/** WebGPU promises eight storage buffers to a program, one of which is written. */
const mostInputs = 7;

/** Programs longer than this take longer to compile than they save. */
const mostNodes = 48;

/** Nodes that cost nothing to do again in every program that needs their result. */
const repeated: ReadonlySet<string> = new Set(["full", "broadcastTo"]);

interface OpenGroup {
  readonly size: number;
  readonly nodes: Set<GraphNode>;
}

/**
 * The groups of a graph, by the node that computes what a group writes. Every elementwise node is in one. A node joins the
 * group of those that read it when they all are in it, at the same places; numbers and repetitions are done again in each.
 */
export function fuseElementwise(graph: Graph): ReadonlyMap<GraphNode, Group> {
  const producers = new Map(graph.nodes.flatMap((node) => node.results.map((result) => [result, node] as const)));
  const readers = new Map<Tensor, GraphNode[]>();
  for (const node of graph.nodes) {
    for (const operand of new Set(node.operands)) readers.set(operand, [...readers.get(operand) ?? [], node]);
  }
  const outputs = new Set(graph.outputs);
  const groupOf = new Map<GraphNode, OpenGroup>();
  const sinks = new Map<GraphNode, OpenGroup>();
  for (const node of graph.nodes.toReversed()) {
    if (!isElementwise(node.op) && node.op !== "reshape") continue;
    const [result] = node.results as [Tensor];
    const group = outputs.has(result) ? null : commonGroup(readers.get(result) ?? [], groupOf);
    if (group !== null && fits(group, node, producers)) {
      group.nodes.add(node);
      groupOf.set(node, group);
    } else if (node.op !== "reshape") {
      // A reshape by itself moves nothing and needs no program.
      const own = { size: sizeOf(result.shape), nodes: new Set([node]) };
      groupOf.set(node, own);
      sinks.set(node, own);
    }
  }
  return new Map([...sinks].map(([sink, group]) => [sink, close(graph, sink, group, producers)]));
}

/** The group that all readers are in; `null` when there is none. */
function commonGroup(readers: readonly GraphNode[], groupOf: ReadonlyMap<GraphNode, OpenGroup>): OpenGroup | null {
  const group = readers[0] === undefined ? undefined : groupOf.get(readers[0]);
  return group !== undefined && readers.every((reader) => groupOf.get(reader) === group) ? group : null;
}

/** Tells whether a node can join a group. */
function fits(group: OpenGroup, node: GraphNode, producers: ReadonlyMap<Tensor, GraphNode>): boolean {
  if (sizeOf(node.results[0]!.shape) !== group.size || group.nodes.size >= mostNodes) return false;
  return inputsOf(new Set([...group.nodes, node]), producers).size <= mostInputs;
}

/** What nodes read that none of them computes, through repetitions. */
function inputsOf(nodes: ReadonlySet<GraphNode>, producers: ReadonlyMap<Tensor, GraphNode>): Set<Tensor> {
  const inputs = new Set<Tensor>();
  const visit = (operand: Tensor) => {
    const producer = producers.get(operand);
    if (producer !== undefined && nodes.has(producer)) return;
    if (producer?.op === "full") return;
    if (producer?.op === "broadcastTo") {
      // What is repeated is read from memory: inside a group every value has the group's size.
      inputs.add(producer.operands[0]!);
    } else inputs.add(operand);
  };
  for (const node of nodes) node.operands.forEach(visit);
  return inputs;
}

/** A group with the repeated nodes that it needs, in the graph's order. */
function close(graph: Graph, sink: GraphNode, group: OpenGroup, producers: ReadonlyMap<Tensor, GraphNode>): Group {
  const all = new Set(group.nodes);
  for (const node of group.nodes) {
    for (const operand of node.operands) {
      const producer = producers.get(operand);
      if (producer !== undefined && repeated.has(producer.op)) all.add(producer);
    }
  }
  const nodes = graph.nodes.filter((node) => all.has(node));
  const made = new Set(nodes.flatMap((node) => node.results));
  const inputs = new Set(nodes.flatMap((node) => node.operands).filter((operand) => !made.has(operand)));
  return { nodes, inputs: [...inputs], output: sink.results[0]! };
}
