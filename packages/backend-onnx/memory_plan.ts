/**
 * How much memory a model takes while it runs, worked out as ONNX Runtime plans it, without running anything.
 *
 * ONNX Runtime fixes the order of the nodes and which values share a buffer when it loads a model. Given shapes that are
 * known, that is a small computation, which this file repeats: nodes in reverse depth-first order from those that nothing
 * reads; results in the memory of an operand that is read for the last time, for the few kernels that declare it; else in a
 * buffer of the same shape that is not needed any more; else in a new one. A buffer is freed after its last use of all, so one
 * that is used again later is kept in between. The rest of the memory is what some kernels take for themselves.
 */
import { bytesPerElement, type DType, type DTypeSupport, type Graph, type OpName, sizeOf } from "@tessera/core";
import { memorySharing } from "./donation.ts";
import { broadcast } from "./lowering/elementwise.ts";
import { cpuSupport, lower, prepare } from "./lowering/lower.ts";
import type { OnnxModel, OnnxNode, OnnxValue } from "./model/description.ts";

/** Operators whose result is their first operand's memory. */
const views: ReadonlySet<string> = new Set(["Reshape", "Identity"]);

/** Operators whose kernels may overwrite their first operand. A test measures that these do, and that no others do. */
const inPlace: ReadonlySet<string> = new Set(["Tanh", "Sigmoid", "Softmax", "Cast", "ScatterElements"]);

/** The workspace that a kernel allocates while it runs, in bytes. */
const scratch: Readonly<Record<string, (operands: readonly OnnxValue[]) => number>> = {
  // Both branches, each repeated to the shape that it has together with the condition.
  Where: ([condition, ...branches]) =>
    branches.reduce((sum, branch) => sum + bytesOf({ ...branch, shape: broadcast(condition!.shape, branch.shape) }), 0),
};

/** What a device with kernels for 16-bit floats computes in. */
export const halfSupport: DTypeSupport = {
  computes: new Set<DType>(["float32", "bfloat16", "float16", "int32", "bool", "uint8"]),
  moves: new Set<OpName>(),
};

/** How ONNX Runtime's allocator rounds. */
const granule = 256;

/**
 * The peak that a run of a graph allocates on the processor, in bytes, or would on a device that computes in the
 * dtypes of `support`: the values in between and the outputs, without the inputs. An output that overwrites a donated input
 * takes nothing.
 */
export function memoryOfRun(
  graph: Graph,
  donate: ReadonlyMap<number, number> = new Map(),
  support: DTypeSupport = cpuSupport,
): number {
  const { model } = lower(prepare(graph, support));
  const shares = memorySharing(model);
  const given = new Set([...donate].flatMap(([input, output]) => shares(input, output) ? [output] : []));
  return memoryOfModel(model, given);
}

/** The peak that a run of a model allocates, in bytes, when the outputs with the numbers in `given` have memory already. */
export function memoryOfModel(model: OnnxModel, given: ReadonlySet<number> = new Set()): number {
  const nodes = executionOrder(model);
  const known = [...model.inputs, ...model.initializers];
  const values = new Map([...known, ...nodes.flatMap(({ outputs }) => outputs)].map((value) => [value.name, value]));
  const numbers = new Map(model.outputs.map(({ name }, i) => [name, i]));
  const { owners, spans } = planBuffers(nodes, known, values, new Set(numbers.keys()));
  const changes = new Float64Array(nodes.length + 1);
  for (const [name, { first, last }] of spans) {
    const number = numbers.get(name);
    if (owners.has(name) || (number !== undefined && given.has(number))) continue;
    const bytes = Math.ceil(bytesOf(values.get(name)!) / granule) * granule;
    changes[first]! += bytes;
    changes[last + 1]! -= bytes;
  }
  let [held, peak] = [0, 0];
  nodes.forEach((node, at) => {
    held += changes[at]!;
    const own = scratch[node.op]?.(node.inputs.map((name) => values.get(name)!)) ?? 0;
    peak = Math.max(peak, held + own);
  });
  return peak;
}

/** When a buffer is allocated and when it is last used, by positions in the order of execution. */
interface Span {
  readonly first: number;
  last: number;
}

/** Which values share the buffer of another one, and from when to when each buffer lives. */
function planBuffers(
  nodes: readonly OnnxNode[],
  known: readonly OnnxValue[],
  values: ReadonlyMap<string, OnnxValue>,
  outputs: ReadonlySet<string>,
): { readonly owners: ReadonlyMap<string, string>; readonly spans: ReadonlyMap<string, Span> } {
  const uses = new Map<string, number>();
  const count = (name: string, by: number) => uses.set(name, (uses.get(name) ?? 0) + by);
  for (const { inputs, outputs: made } of nodes) for (const name of [...inputs, ...nameAll(made)]) count(name, 1);
  // What comes from outside or goes there is never overwritten.
  for (const name of [...nameAll(known), ...outputs]) count(name, 1);

  const owners = new Map<string, string>();
  const ownerOf = (name: string) => owners.get(name) ?? name;
  const spans = new Map<string, Span>();
  const idle: string[] = [];

  /** The value whose buffer a result takes over; `null` for a new one. */
  function reusable(node: OnnxNode, result: OnnxValue, number: number): string | null {
    if (outputs.has(result.name)) return null;
    const [first] = node.inputs;
    if (number === 0 && first !== undefined) {
      if (views.has(node.op)) return first;
      const isLast = uses.get(ownerOf(first)) === 1;
      if (inPlace.has(node.op) && isLast && isAlike(values.get(first)!, result)) return first;
    }
    const at = idle.findIndex((name) => isAlike(values.get(name)!, result));
    return at < 0 ? null : idle.splice(at, 1)[0]!;
  }

  function release(name: string, at: number): void {
    const owner = ownerOf(name);
    count(owner, -1);
    const span = spans.get(owner);
    if (span !== undefined) span.last = at;
    // The buffer that became idle last is taken first.
    if (uses.get(owner) === 0) idle.unshift(owner);
  }

  nodes.forEach((node, at) => {
    node.outputs.forEach((result, number) => {
      const from = reusable(node, result, number);
      if (from === null) {
        spans.set(result.name, { first: at, last: at });
        return;
      }
      const owner = ownerOf(from);
      owners.set(result.name, owner);
      count(owner, uses.get(result.name)!);
    });
    for (const name of node.inputs) if (name !== "") release(name, at);
    for (const { name } of node.outputs) release(name, at);
  });
  // Outputs outlive the run.
  for (const name of outputs) spans.get(name)!.last = nodes.length - 1;
  return { owners, spans };
}

/** The nodes in the order in which ONNX Runtime runs them: depth first, from the nodes that nothing reads, the last one first. */
function executionOrder({ nodes }: OnnxModel): OnnxNode[] {
  const places = new Map(nodes.map((node, place) => [node, place]));
  const producers = new Map(nodes.flatMap((node) => node.outputs.map(({ name }) => [name, node] as const)));
  const read = new Set(nodes.flatMap(({ inputs }) => inputs));
  const open = nodes.filter(({ outputs }) => outputs.every(({ name }) => !read.has(name)))
    .map((node) => ({ node, isDone: false }));
  const seen = new Set<OnnxNode>();
  const order: OnnxNode[] = [];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { node, isDone } = next;
    if (isDone) {
      order.push(node);
    } else if (!seen.has(node)) {
      seen.add(node);
      open.push({ node, isDone: true });
      const needed = new Set(node.inputs.flatMap((name) => producers.get(name) ?? []));
      const later = [...needed].sort((a, b) => places.get(a)! - places.get(b)!);
      open.push(...later.map((producer) => ({ node: producer, isDone: false })));
    }
  }
  return order;
}

function nameAll(values: readonly OnnxValue[]): string[] {
  return values.map(({ name }) => name);
}

/** Whether two values have the same shape and elements of the same size. */
function isAlike(a: OnnxValue, b: OnnxValue): boolean {
  return elementBytes(a) === elementBytes(b) && a.shape.length === b.shape.length &&
    a.shape.every((length, axis) => length === b.shape[axis]);
}

function bytesOf(value: OnnxValue): number {
  return sizeOf(value.shape) * elementBytes(value);
}

/** Bytes per element of the types that only ONNX has. */
const ownTypes = { int64: 8, uint8: 1, int8: 1, float64: 8 } as const;

function elementBytes({ dtype }: OnnxValue): number {
  return dtype in ownTypes ? ownTypes[dtype as keyof typeof ownTypes] : bytesPerElement(dtype as DType);
}
