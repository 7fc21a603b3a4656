/** Where partial sums may arise in a graph and how far they can go: what tells whether it pays to let them continue. */
import type { Graph, GraphNode, Tensor } from "@tessera/core";
import { isZero, linearityOf } from "./linear.ts";
import { factorAxes, names, ruleOf } from "../sharding/node_rule.ts";
import type { MeshShape, Sharding } from "../sharding/sharding.ts";

/** One place where a value is read. */
export interface Use {
  /** The node that reads it. */
  readonly node: GraphNode;
  /** As which of its operands. */
  readonly operand: number;
}

/** What is known about the values of a graph before any node is partitioned. */
export interface Flow {
  /** Where each value is read. */
  readonly uses: ReadonlyMap<Tensor, readonly Use[]>;
  /** The mesh axes over which a value may turn out partial, if nothing reduces it before. */
  readonly potential: ReadonlyMap<Tensor, ReadonlySet<string>>;
  /** The values that leave the graph. */
  readonly outputs: ReadonlySet<Tensor>;
  /** How a value will probably be sharded. */
  readonly advice: ReadonlyMap<Tensor, Sharding>;
}

const none: ReadonlySet<string> = new Set();

/** The flow of a graph, given advice on how its values are sharded. */
export function flowOf(graph: Graph, mesh: MeshShape, advice: ReadonlyMap<Tensor, Sharding>): Flow {
  const uses = new Map<Tensor, Use[]>();
  const potential = new Map<Tensor, ReadonlySet<string>>();
  for (const input of graph.inputs) potential.set(input, new Set(advice.get(input)?.partial));
  for (const node of graph.nodes) {
    node.operands.forEach((tensor, operand) => {
      const list = uses.get(tensor);
      if (list === undefined) uses.set(tensor, [{ node, operand }]);
      else list.push({ node, operand });
    });
    const arising = new Set<string>(carriedThrough(node, potential));
    addSummed(node, mesh, advice, arising);
    node.results.forEach((result) => potential.set(result, arising));
  }
  return { uses, potential, advice, outputs: new Set(graph.outputs) };
}

/** The mesh axes over which the results of a node may be partial because its operands are. */
function carriedThrough(node: GraphNode, potential: ReadonlyMap<Tensor, ReadonlySet<string>>): Iterable<string> {
  const linearity = linearityOf(node);
  if (linearity === null) return none;
  const sets = linearity.operands.map((i) => node.operands[i]!).filter((tensor) => !isZero(tensor))
    .map((tensor) => potential.get(tensor) ?? none);
  if (linearity.kind === "together") {
    return sets.length === 0 ? none : [...sets[0]!].filter((name) => sets.every((set) => set.has(name)));
  }
  return sets.flatMap((set) => [...set]);
}

/** Adds the mesh axes that split an axis that the node sums over. */
function addSummed(node: GraphNode, mesh: MeshShape, advice: ReadonlyMap<Tensor, Sharding>, into: Set<string>): void {
  const isSplit = node.operands.some((tensor) => advice.get(tensor)?.dims.some((own) => own.length > 0));
  if (!isSplit) return;
  const rule = ruleOf(node);
  if (rule === null) return;
  node.operands.forEach((tensor, i) => {
    const dims = advice.get(tensor)?.dims;
    if (dims === undefined) return;
    for (const [factor, meshAxes] of factorAxes(dims, rule.operands[i]!, rule, mesh)) {
      if (rule.results.some((axes) => !names(axes, factor))) meshAxes.forEach((name) => into.add(name));
    }
  });
}

/** Tells whether a use of a value that is partial over a mesh axis can wait for it to be reduced. */
export function canWait({ node, operand }: Use, meshAxis: string, { potential, advice }: Flow): boolean {
  const linearity = linearityOf(node);
  if (linearity === null || !linearity.operands.includes(operand)) return false;
  const others = linearity.operands.filter((i) => i !== operand).map((i) => node.operands[i]!);
  const mayBePartial = (tensor: Tensor) => potential.get(tensor)?.has(meshAxis) ?? false;
  if (linearity.kind === "together") return others.every((tensor) => mayBePartial(tensor) || isZero(tensor));
  return others.every((tensor) =>
    tensor !== node.operands[operand] && !mayBePartial(tensor) &&
    !advice.get(tensor)?.dims.some((own) => own.includes(meshAxis))
  );
}

/** Tells whether a value that is partial over a mesh axis is reduced for some use anyway. */
export function isAddedUp(tensor: Tensor, meshAxis: string, flow: Flow): boolean {
  return flow.outputs.has(tensor) || (flow.uses.get(tensor) ?? []).some((use) => !canWait(use, meshAxis, flow));
}

/** Tells whether a value soon joins another sum that is partial over the same mesh axis, so that waiting costs nothing. */
export function joinsAnother(tensor: Tensor, meshAxis: string, flow: Flow): boolean {
  let current = tensor;
  for (let steps = 0; steps < 8; steps++) {
    const uses = flow.uses.get(current) ?? [];
    if (uses.length !== 1 || flow.outputs.has(current) || !canWait(uses[0]!, meshAxis, flow)) return false;
    const { node, operand } = uses[0]!;
    const linearity = linearityOf(node)!;
    const others = linearity.operands.filter((i) => i !== operand).map((i) => node.operands[i]!);
    if (linearity.kind === "together" && others.some((other) => !isZero(other))) return true;
    current = node.results[0]!;
  }
  return false;
}
