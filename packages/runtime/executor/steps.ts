/**
 * Cutting the graph that each device of a mesh runs into steps: graphs that a backend compiles, and collectives between them.
 *
 * Nodes are taken in order. A collective waits until the nodes before it have run, so it ends a segment, but not before a node
 * asks for its result; one whose operands were there before the segment began goes before the segment. So the kernels of half
 * a decoder block are gathered just before that half runs, and a block forward takes as many segments as it has sums.
 *
 * Values that depend on nothing, and inputs in another dtype or axis order, are recomputed in every segment that reads them:
 * that is cheaper than keeping them.
 */
import {
  attrsKey,
  emit,
  formatType,
  type Graph,
  graphInput,
  type GraphNode,
  isCollective,
  type OpName,
  optimize,
  rewrite,
  Tensor,
  trace,
  withOrigin,
} from "@tessera/core";
import type { Exchange } from "./communicator.ts";

/** A part of the graph that a device runs by itself. */
export interface Segment {
  /** Tells it from a collective. */
  readonly kind: "segment";
  /** What is to be compiled; its inputs and outputs are named by their numbers. */
  readonly graph: Graph;
  /** The same for two segments only when one compiled program serves both. */
  readonly key: string;
  /** The values that go in. */
  readonly inputs: readonly Tensor[];
  /** The values that come out. */
  readonly outputs: readonly Tensor[];
  /** Input → output, by number: the input is overwritten. */
  readonly donate: ReadonlyMap<number, number>;
}

/** A collective. */
export interface ExchangeStep {
  /** Tells it from a segment. */
  readonly kind: "exchange";
  /** What is exchanged how. */
  readonly exchange: Pick<Exchange, "op" | "attrs">;
  /** The values that go in. */
  readonly inputs: readonly Tensor[];
  /** The values that come out. */
  readonly outputs: readonly Tensor[];
}

/** A segment or a collective. */
export type Step = Segment | ExchangeStep;

/** A graph in steps. */
export interface Steps {
  /** The steps, in the order in which every device takes them. */
  readonly steps: readonly Step[];
  /** The values that the run is given: first the graph's inputs, then those that tell a device its place. */
  readonly inputs: readonly Tensor[];
  /** Of the inputs that tell a device its place, the mesh axes of which they tell it. */
  readonly places: ReadonlyMap<Tensor, readonly string[]>;
  /** The values that the run returns. */
  readonly outputs: readonly Tensor[];
}

/**
 * Cuts a local graph into steps. `donate` says which inputs' buffers receive which outputs; one that is still read when its
 * output is computed is not overwritten but replaced after the run.
 */
export function cutSteps(graph: Graph, donate: ReadonlyMap<number, number> = new Map()): Steps {
  const { graph: placed, places } = withPlaces(graph);
  const { inputs, outputs, nodes } = optimize(placed);
  const donors = new Map([...donate].map(([input, output]) => [outputs[output]!, inputs[input]!]));
  const sketches = sketch(nodes, outputs);
  // The last step that reads each value; outputs are read after all.
  const lastRead = new Map<Tensor, number>();
  const read = sketches.map((step) => readBy(step));
  read.forEach((values, i) => values.forEach((value) => lastRead.set(value, i)));
  outputs.forEach((output) => lastRead.set(output, sketches.length));
  const steps = sketches.map((step, i): Step => {
    if (step.kind === "exchange") {
      const { op, attrs, operands, results } = step.node;
      return {
        kind: "exchange",
        exchange: { op, attrs } as unknown as ExchangeStep["exchange"],
        inputs: operands,
        outputs: results,
      };
    }
    const made = step.nodes.flatMap(({ results }) => results).filter((result) => (lastRead.get(result) ?? -1) > i);
    const isLast = (value: Tensor) => lastRead.get(value) === i;
    return segmentOf(graph.name, step.nodes, [...read[i]!], made, (output) => {
      const donor = donors.get(output);
      return donor !== undefined && isLast(donor) ? donor : null;
    });
  });
  return { steps, inputs, places, outputs };
}

/** Per step, the values made in the run that nothing reads after it. */
export function lastUses({ steps, outputs }: Steps): Tensor[][] {
  const last = new Map<Tensor, number>();
  steps.forEach((step, i) => {
    step.outputs.forEach((value) => last.set(value, i));
    step.inputs.forEach((value) => last.has(value) && last.set(value, i));
  });
  outputs.forEach((value) => last.delete(value));
  const freed: Tensor[][] = steps.map(() => []);
  for (const [value, i] of last) freed[i]!.push(value);
  return freed;
}

/** The graph with an input for each of the places that a device has in a group, and slices taken by those. */
function withPlaces(graph: Graph): { graph: Graph; places: Map<Tensor, readonly string[]> } {
  const places = new Map<Tensor, readonly string[]>();
  const known = new Map<string, Tensor>();
  const placeIn = (meshAxes: readonly string[]) => {
    const key = meshAxes.join(" ");
    const place = known.get(key) ?? new Tensor({ shape: [], dtype: "int32" }, null, 0);
    known.set(key, place);
    places.set(place, meshAxes);
    return place;
  };
  const rules: { readonly [K in OpName]?: (node: GraphNode, operands: readonly Tensor[]) => readonly Tensor[] } = {
    deviceIndex: ({ attrs }) => [placeIn(attrs.meshAxes as readonly string[])],
    shardSlice: ({ attrs }, [x]) => {
      const { axis, size, meshAxes } = attrs as { axis: number; size: number; meshAxes: readonly string[] };
      const { shape } = x!;
      const parts = x!.reshape([...shape.slice(0, axis), size, shape[axis]! / size, ...shape.slice(axis + 1)]);
      return [parts.gather(placeIn(meshAxes), axis)];
    },
  };
  const rewritten = rewrite(graph, (node, operands) => rules[node.op]?.(node, operands) ?? null);
  const inputs = [...graph.inputs, ...known.values()];
  return { graph: { ...rewritten, inputs, inputNames: [...graph.inputNames, ...known.keys()] }, places };
}

/** A step before it is known what is read after it. */
type Sketch =
  | { readonly kind: "segment"; readonly nodes: readonly GraphNode[] }
  | { readonly kind: "exchange"; readonly node: GraphNode };

/** Ops that only put an input into another form. */
const forms: ReadonlySet<OpName> = new Set<OpName>(["cast", "transpose", "reshape"]);

/** The nodes in the order in which they run, each segment with the nodes that are made again for it. */
function sketch(nodes: readonly GraphNode[], outputs: readonly Tensor[]): readonly Sketch[] {
  const done: Sketch[] = [];
  const repeated = new Set<GraphNode>();
  const isMadeAgain = ({ producer }: Tensor) => producer !== null && repeated.has(producer);
  let early: GraphNode[] = [];
  let open: GraphNode[] = [];
  let waiting: GraphNode[] = [];
  let inOpen = new Set<GraphNode>();

  /** Adds the nodes made again that a value needs to the open segment, before its reader. */
  function include(tensor: Tensor): void {
    const node = tensor.producer;
    if (node === null || !repeated.has(node) || inOpen.has(node)) return;
    node.operands.forEach(include);
    inOpen.add(node);
    open.push(node);
  }

  function close(): void {
    done.push(...early.map((node) => ({ kind: "exchange", node } as const)));
    if (open.length > 0) done.push({ kind: "segment", nodes: open });
    done.push(...waiting.map((node) => ({ kind: "exchange", node } as const)));
    early = [];
    open = [];
    waiting = [];
    inOpen = new Set();
  }

  for (const node of nodes) {
    const producers = node.operands.flatMap(({ producer }) => producer ?? []);
    if (producers.some((producer) => waiting.includes(producer))) close();
    if (isCollective(node.op)) {
      node.operands.forEach(include);
      if (producers.some((producer) => inOpen.has(producer))) waiting.push(node);
      else early.push(node);
      continue;
    }
    const isFree = node.operands.length === 0;
    const isForm = forms.has(node.op) && node.operands.every((x) => x.producer === null || isMadeAgain(x));
    if (isFree || isForm) {
      repeated.add(node);
      continue;
    }
    node.operands.forEach(include);
    inOpen.add(node);
    open.push(node);
  }
  outputs.forEach(include);
  close();
  return done;
}

/** The values that a step reads and does not make. */
function readBy(step: Sketch): Set<Tensor> {
  if (step.kind === "exchange") return new Set(step.node.operands);
  const made = new Set(step.nodes.flatMap(({ results }) => results));
  return new Set(step.nodes.flatMap(({ operands }) => operands).filter((operand) => !made.has(operand)));
}

/** A segment as a graph of its own, under names that are the same for all segments that compute the same. */
function segmentOf(
  name: string,
  nodes: readonly GraphNode[],
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
  donorOf: (output: Tensor) => Tensor | null,
): Segment {
  const numbers = new Map<Tensor, number>();
  const number = (tensor: Tensor) => numbers.set(tensor, numbers.size);
  const lines: string[] = [];
  const graph = trace(name, {}, () => {
    const local = new Map<Tensor, Tensor>();
    inputs.forEach((input, i) => {
      number(input);
      lines.push(formatType(input.type));
      local.set(input, graphInput(`input ${i}`, input.type));
    });
    for (const { op, operands, attrs, results, origin } of nodes) {
      lines.push(`${op} ${operands.map((operand) => numbers.get(operand)!)} ${attrsKey(attrs)}`);
      const made = withOrigin(origin, () => emit(op, operands.map((operand) => local.get(operand)!), attrs));
      results.forEach((result, i) => {
        number(result);
        local.set(result, made[i]!);
      });
    }
    return Object.fromEntries(outputs.map((output, i) => [`output ${i}`, local.get(output)!]));
  });
  const donate = new Map<number, number>();
  outputs.forEach((output, i) => {
    const donor = donorOf(output);
    if (donor !== null) donate.set(inputs.indexOf(donor), i);
  });
  const ends = [outputs.map((output) => numbers.get(output)!), [...donate]];
  return { kind: "segment", graph, key: [...lines, ...ends.map(String)].join("\n"), inputs, outputs, donate };
}
