/**
 * Propagation: from the shardings of some values to advice for all.
 *
 * What one tensor of a node is sharded over, the others that share the factor should be sharded over too, forwards and
 * backwards, until nothing changes. As in Shardy (openxla.org/shardy, "propagation") it goes in stages, so that ops that
 * only move or map elements agree before contractions have a say, and shardings only ever grow at their inner end. Where
 * two factors of a node want the same mesh axis, the one that is further out in the result gets it; one that is summed
 * over comes last. The result is advice: `partition` decides what each node does, and at what cost.
 */
import type { Graph, GraphNode, OpName, Tensor } from "@tessera/core";
import { dimsOf, factorAxes, type NodeRule, ruleOf, type TensorFactors } from "./node_rule.ts";
import { checkSharding, type MeshShape, type Sharding } from "./sharding.ts";

/** Ops that map or move elements: these agree first. */
const simple: ReadonlySet<OpName> = new Set<OpName>([
  ...(["neg", "abs", "sign", "exp", "log", "sqrt", "rsqrt", "tanh", "sigmoid", "not", "cast"] as const),
  ...(["add", "sub", "mul", "div", "pow", "maximum", "minimum", "where", "gelu", "silu", "geluGrad"] as const),
  ...(["siluGrad", "reshape", "transpose", "rotaryEmbedding"] as const),
]);

/** Which nodes and which factors take part in each stage. */
const stages: readonly { readonly ops: (op: OpName) => boolean; readonly summed: boolean }[] = [
  { ops: (op) => simple.has(op), summed: false },
  { ops: () => true, summed: false },
  { ops: () => true, summed: true },
];

interface Step {
  readonly node: GraphNode;
  readonly rule: NodeRule;
  readonly tensors: readonly Tensor[];
  readonly axes: readonly TensorFactors[];
  /** The factors in the order in which they get mesh axes, and whether each is summed over. */
  readonly factors: readonly { readonly name: string; readonly summed: boolean }[];
}

function stepOf(node: GraphNode): Step | null {
  const rule = ruleOf(node);
  if (rule === null) return null;
  const inResults = new Set(rule.results.flat(2));
  const all = new Set([...inResults, ...rule.operands.flat(2)]);
  return {
    node,
    rule,
    tensors: [...node.operands, ...node.results],
    axes: [...rule.operands, ...rule.results],
    factors: [...all].filter((name) => !rule.whole.has(name)).map((name) => ({ name, summed: !inResults.has(name) })),
  };
}

/**
 * Shardings for every value of a graph, given those of some: known ones are kept, and no advice is partial.
 *
 * @throws {RangeError} when a known sharding does not fit its tensor or the mesh.
 */
export function propagate(
  graph: Graph,
  mesh: MeshShape,
  known: ReadonlyMap<Tensor, Sharding>,
): Map<Tensor, Sharding> {
  const dims = new Map<Tensor, readonly (readonly string[])[]>();
  const seed = (tensor: Tensor, what: string) => {
    const sharding = known.get(tensor);
    if (sharding !== undefined) checkSharding(what, tensor.type, sharding, mesh);
    dims.set(tensor, sharding?.dims ?? tensor.shape.map(() => []));
  };
  graph.inputs.forEach((input, i) => seed(input, `"${graph.inputNames[i]}"`));
  for (const node of graph.nodes) node.results.forEach((result) => seed(result, `the result of "${node.op}"`));
  const steps = graph.nodes.map(stepOf);
  const users = new Map<Tensor, number[]>();
  steps.forEach((step, i) =>
    step?.tensors.forEach((tensor) => {
      const list = users.get(tensor);
      if (list === undefined) users.set(tensor, [i]);
      else if (list.at(-1) !== i) list.push(i);
    })
  );
  for (const { ops, summed } of stages) {
    // Every change adds a mesh axis to a tensor, so each node is visited a bounded number of times.
    let turn: number[] = [...steps.keys()];
    while (turn.length > 0) {
      const next = new Set<number>();
      for (const i of turn) {
        const step = steps[i];
        if (!step || !ops(step.node.op)) continue;
        for (const tensor of update(step, summed, dims, known, mesh)) {
          users.get(tensor)!.forEach((user) => user !== i && next.add(user));
        }
      }
      // Forwards and backwards in turn, so that a change crosses the graph in one go.
      turn = [...next].sort((a, b) => turn.length % 2 === 0 ? a - b : b - a);
    }
  }
  return new Map([...dims].map(([tensor, own]) => [tensor, { dims: own, partial: known.get(tensor)?.partial ?? [] }]));
}

/** Lets the tensors of one node agree, and returns those that changed. */
function update(
  { rule, tensors, axes, factors }: Step,
  summed: boolean,
  dims: Map<Tensor, readonly (readonly string[])[]>,
  known: ReadonlyMap<Tensor, Sharding>,
  mesh: MeshShape,
): Tensor[] {
  if (tensors.every((tensor) => dims.get(tensor)!.every((own) => own.length === 0))) return [];
  const found = tensors.map((tensor, i) => factorAxes(dims.get(tensor)!, axes[i]!, rule, mesh));
  const assignment = new Map<string, readonly string[]>();
  const taken = new Set<string>();
  for (const factor of factors) {
    let longest: readonly string[] = [];
    for (const split of found) {
      const own = split.get(factor.name);
      if (own !== undefined && own.length > longest.length) longest = own;
    }
    const clash = longest.findIndex((name) => taken.has(name));
    const own = clash < 0 ? longest : longest.slice(0, clash);
    own.forEach((name) => taken.add(name));
    if (own.length > 0 && (summed || !factor.summed)) assignment.set(factor.name, own);
  }
  return tensors.filter((tensor, i) => {
    if (known.has(tensor)) return false;
    const wanted = dimsOf(assignment, axes[i]!, rule, mesh);
    if (wanted === null) return false;
    const now = dims.get(tensor)!;
    const used = new Set(now.flat());
    let grown = false;
    const next = now.map((own, axis) => {
      const longer = wanted[axis]!;
      const fits = longer.length > own.length && own.every((name, at) => name === longer[at]) &&
        longer.slice(own.length).every((name) => !used.has(name));
      if (!fits) return own;
      longer.forEach((name) => used.add(name));
      grown = true;
      return longer;
    });
    if (grown) dims.set(tensor, next);
    return grown;
  });
}
