/**
 * Partitioning: from a graph of whole tensors to the graph that every device runs on its shards, with collectives between.
 *
 * Nodes are taken in order. Each one is split as `choose` says, its operands are brought there, and its results keep the
 * sharding that they come out with until something needs another; each form that a value takes is made once. A composite
 * that would need a sharded axis whole is replaced by its definition. All-reduces that do not wait for each other are joined
 * at the end, see `fuse.ts`.
 */
import {
  eliminateCommonSubexpressions,
  eliminateDeadCode,
  type Graph,
  graphInput,
  type GraphNode,
  isComposite,
  opOf,
  type Tensor,
  trace,
  withOrigin,
} from "@tessera/core";
import { choose } from "./choose.ts";
import { type Flow, flowOf } from "./flow.ts";
import { fuseAllReduces } from "./fuse.ts";
import { decomposedWhenSplit, emitLocal, type LocalContext } from "./local_ops.ts";
import { copiedHeads, withCopiedHeads } from "./grouped_heads.ts";
import { ruleOf } from "../sharding/node_rule.ts";
import { propagate } from "../sharding/propagate.ts";
import { reshardCost } from "../sharding/reshard.ts";
import { gatherStored, scatterEarly } from "./schedule.ts";
import {
  localType,
  type MeshShape,
  partsOf,
  replicated,
  sameSharding,
  type Sharding,
  withoutTrivialAxes,
} from "../sharding/sharding.ts";
import { emitCollective, homeOf, localOf, type Value } from "./values.ts";

/** What every device runs, and how the inputs and outputs of the whole graph are sharded over the devices. */
export interface Partitioned {
  /** The local graph. Its inputs and outputs are shards of the whole graph's, in the same order, by the same names. */
  readonly graph: Graph;
  /** How each input is sharded. */
  readonly inputs: readonly Sharding[];
  /** How each output is sharded. */
  readonly outputs: readonly Sharding[];
}

/** Options of `partition`. */
export interface PartitionOptions {
  /** Values inside the graph that have to be sharded in a given way, as a layout map says of activations. */
  readonly constraints?: ReadonlyMap<Tensor, Sharding>;
}

interface Context {
  readonly mesh: MeshShape;
  readonly values: Map<Tensor, Value>;
  readonly constraints: ReadonlyMap<Tensor, Sharding>;
}

/**
 * The graph that each device runs, given how inputs are sharded and advice for all other values, as `propagate` gives it.
 * An output is sharded as `outputs` says, or, where that is `null`, in the cheapest way.
 *
 * @throws {RangeError} when a sharding does not fit its tensor or the mesh.
 */
export function partition(
  graph: Graph,
  mesh: MeshShape,
  shardings: ReadonlyMap<Tensor, Sharding>,
  outputs: readonly (Sharding | null)[] = [],
  options: PartitionOptions = {},
): Partitioned {
  const strip = (map: ReadonlyMap<Tensor, Sharding>) =>
    new Map([...map].map(([tensor, sharding]) => [tensor, withoutTrivialAxes(sharding, mesh)]));
  const advice = strip(shardings);
  const constraints = strip(options.constraints ?? new Map());
  const inputs = graph.inputs.map((tensor) => advice.get(tensor) ?? replicated(tensor.rank));
  let found: readonly Sharding[] = [];
  const traced = trace(graph.name, {}, () => {
    const values = new Map<Tensor, Value>();
    graph.inputs.forEach((tensor, i) => {
      const name = graph.inputNames[i]!;
      const local = graphInput(name, localType(tensor.type, inputs[i]!, mesh, `"${name}"`));
      values.set(tensor, { tensor, isFree: false, forms: [{ sharding: inputs[i]!, local }] });
    });
    const context = { mesh, values, constraints };
    walk(graph.nodes, context, flowOf(graph, mesh, advice));
    found = graph.outputs.map((tensor, i) => {
      const wanted = outputs[i];
      return wanted ? withoutTrivialAxes(wanted, mesh) : settled(values.get(tensor)!, advice.get(tensor), mesh);
    });
    const locals = found.map((sharding, i) => localOf(values.get(graph.outputs[i]!)!, sharding, mesh));
    return Object.fromEntries(locals.map((local, i) => [`${i}`, local]));
  });
  const local = { ...traced, outputNames: graph.outputNames };
  const once = eliminateCommonSubexpressions(gatherStored(eliminateDeadCode(local)));
  return { graph: scatterEarly(fuseAllReduces(eliminateDeadCode(once))), inputs, outputs: found };
}

/**
 * Propagates and partitions in one go: `known` says how some inputs, and perhaps values inside the graph, are sharded.
 *
 * @throws {RangeError} when a sharding does not fit its tensor or the mesh.
 */
export function shardGraph(
  graph: Graph,
  mesh: MeshShape,
  known: ReadonlyMap<Tensor, Sharding>,
  outputs: readonly (Sharding | null)[] = [],
): Partitioned {
  const inputs = new Set(graph.inputs);
  const inner = [...known.keys()].filter((tensor) => !inputs.has(tensor));
  // What is computed twice would be reduced twice. Values with a sharding of their own are found again as outputs.
  const merged = eliminateCommonSubexpressions(eliminateDeadCode({ ...graph, outputs: [...graph.outputs, ...inner] }));
  const once = { ...merged, outputs: merged.outputs.slice(0, graph.outputs.length) };
  const constraints = new Map(
    inner.map((tensor, i) => [merged.outputs[graph.outputs.length + i]!, known.get(tensor)!]),
  );
  const wanted = new Map([...[...known].filter(([tensor]) => inputs.has(tensor)), ...constraints]);
  // An output that has to be sharded in some way is as good as known.
  once.outputs.forEach((tensor, i) => {
    const sharding = outputs[i];
    if (sharding && !inputs.has(tensor) && !wanted.has(tensor)) wanted.set(tensor, sharding);
  });
  return partition(once, mesh, propagate(once, mesh, wanted), outputs, { constraints });
}

/** The cheapest way to have a value reduced. */
function settled(value: Value, advice: Sharding | undefined, mesh: MeshShape): Sharding {
  const home = homeOf(value);
  if (home === null) return { dims: advice?.dims ?? value.tensor.shape.map(() => []), partial: [] };
  const summed = { dims: home.dims, partial: [] };
  if (home.partial.length === 0 || advice === undefined) return summed;
  const advised = { dims: advice.dims, partial: [] };
  const cost = (target: Sharding) => reshardCost(value.tensor.type, home, target, mesh);
  return cost(advised) <= cost(summed) ? advised : summed;
}

function walk(nodes: readonly GraphNode[], context: Context, flow: Flow): void {
  for (const node of nodes) withOrigin(node.origin, () => place(node, context, flow));
}

/** Emits what each device does for a node, and records its results. */
function place(node: GraphNode, context: Context, flow: Flow): void {
  const { mesh, values, constraints } = context;
  if (node.operands.length === 0) {
    node.results.forEach((tensor) => values.set(tensor, { tensor, isFree: true, forms: [] }));
    return;
  }
  const operands = node.operands.map((tensor) => values.get(tensor)!);
  const rule = ruleOf(node);
  if (rule === null) throw new TypeError(`Cannot partition "${node.op}": it has no factors`, { cause: node.origin });
  const isSplitWhole = operands.some((value, i) =>
    homeOf(value)?.dims.some((own, axis) =>
      own.length > 0 && rule.operands[i]![axis]!.some((factor) => rule.whole.has(factor))
    )
  );
  if (isComposite(node.op) && decomposedWhenSplit.has(node.op) && isSplitWhole) {
    expand(node, operands, context, () => opOf(node.op).decompose!(node.operands, node.attrs));
    return;
  }
  const copies = copiedHeads(node, partsOf(mesh, homeOf(operands[0]!)?.dims[2] ?? []));
  if (copies !== null) {
    expand(node, operands, context, () => withCopiedHeads(node, copies));
    return;
  }
  const advice = node.results.map((result) => flow.advice.get(result));
  const choice = choose(node, rule, operands, advice, mesh, flow);
  const parts = operands.map((value, i) => localOf(value, choice.operands[i]!, mesh));
  const collective: LocalContext["collective"] = (op, list, meshAxes, attrs) =>
    emitCollective(op, list, meshAxes, mesh, attrs);
  const local = emitLocal({
    node,
    collective,
    split: (operand, axis) => choice.operands[operand]!.dims[axis]!,
    shape: localType(node.results[0]!.type, { ...choice.results[0]!, partial: [] }, mesh).shape,
    summed: choice.summed[0]!,
  }, parts);
  node.results.forEach((tensor, i) => {
    const value: Value = { tensor, isFree: false, forms: [{ sharding: choice.results[i]!, local: local[i]! }] };
    const wanted = constraints.get(tensor) ?? choice.settled[i]!;
    if (!sameSharding(wanted, choice.results[i]!)) {
      const form = { sharding: wanted, local: localOf(value, wanted, mesh) };
      value.forms.splice(0, value.forms.length, form);
    }
    values.set(tensor, value);
  });
}

/** Partitions other nodes in the place of one, such as the definition of a composite. */
function expand(
  node: GraphNode,
  operands: readonly Value[],
  context: Context,
  definition: () => readonly Tensor[],
): void {
  const inner = trace(
    node.op,
    {},
    () => Object.fromEntries(definition().map((result, i) => [`${i}`, result])),
  );
  const graph = { ...inner, inputs: [...new Set(node.operands)] };
  const advice = new Map<Tensor, Sharding>();
  node.operands.forEach((tensor, i) => {
    const home = homeOf(operands[i]!);
    if (home !== null) advice.set(tensor, home);
  });
  const own = flowOf(graph, context.mesh, propagate(graph, context.mesh, advice));
  walk(graph.nodes, context, { ...own, outputs: new Set() });
  node.results.forEach((tensor, i) =>
    context.values.set(tensor, { ...context.values.get(inner.outputs[i]!)!, tensor })
  );
}
