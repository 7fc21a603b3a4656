/**
 * The oracle of partitioning: every device of a mesh in one loop, node by node, on the reference evaluator.
 *
 * All devices run a node before any runs the next, so a collective simply reads what the others have. Slow and obvious.
 */
import {
  type CollectiveName,
  decompose,
  evaluateNode,
  type GraphNode,
  isCollective,
  sizeOf,
  type Tensor,
  type TensorType,
} from "@tessera/core";
import type { Partitioned } from "./partition.ts";
import {
  blockOf,
  deviceCount,
  formatSharding,
  groupIndex,
  groupOf,
  type MeshShape,
  type Sharding,
  wholeType,
} from "../sharding/sharding.ts";

type Elements = Float64Array;

/** A block of a tensor. */
interface Part {
  readonly shape: readonly number[];
  readonly data: Elements;
}

/** Copies a block between arrays: `count` elements along each axis, from one position to another. */
function copyBlock(from: Part, starts: readonly number[], to: Part, at: readonly number[], counts: readonly number[]) {
  const total = sizeOf(counts);
  for (let i = 0; i < total; i++) {
    let rest = i;
    let [read, write, readStride, writeStride] = [0, 0, 1, 1];
    for (let axis = counts.length - 1; axis >= 0; axis--) {
      const index = rest % counts[axis]!;
      rest = Math.floor(rest / counts[axis]!);
      read += (starts[axis]! + index) * readStride;
      write += (at[axis]! + index) * writeStride;
      readStride *= from.shape[axis]!;
      writeStride *= to.shape[axis]!;
    }
    to.data[write] = from.data[read]!;
  }
}

function zeros(shape: readonly number[]): number[] {
  return shape.map(() => 0);
}

function empty(shape: readonly number[]): Part {
  return { shape, data: new Float64Array(sizeOf(shape)) };
}

/** One of `count` equal slices along an axis. */
function cut(whole: Part, axis: number, index: number, count: number): Part {
  const part = empty(whole.shape.map((length, i) => i === axis ? length / count : length));
  copyBlock(whole, zeros(whole.shape).with(axis, index * part.shape[axis]!), part, zeros(part.shape), part.shape);
  return part;
}

function join(parts: readonly Part[], axis: number): Part {
  const [{ shape }] = parts as [Part];
  const whole = empty(shape.with(axis, shape[axis]! * parts.length));
  parts.forEach((part, i) => copyBlock(part, zeros(shape), whole, zeros(shape).with(axis, i * shape[axis]!), shape));
  return whole;
}

const reducers: Readonly<Record<string, (a: number, b: number) => number>> = {
  sum: (a, b) => a + b,
  max: (a, b) => Math.max(a, b),
  min: (a, b) => Math.min(a, b),
};

function reduced(parts: readonly Part[], how: string): Part {
  const [first] = parts as [Part];
  return { ...first, data: first.data.map((_, i) => parts.map(({ data }) => data[i]!).reduce(reducers[how]!)) };
}

interface Attributes {
  readonly axis: number;
  readonly splitAxis: number;
  readonly concatAxis: number;
  readonly reduce: string;
}

/** What one device has after a collective: the operands of all devices of its group, and its place among them. */
const rules: {
  readonly [K in CollectiveName]: (
    group: readonly (readonly Part[])[],
    own: number,
    attrs: Attributes,
  ) => readonly Part[];
} = {
  allReduce: (group, _, { reduce }) => group[0]!.map((_, i) => reduced(group.map((parts) => parts[i]!), reduce)),
  allGather: (group, _, { axis }) => [join(group.map(([x]) => x!), axis)],
  reduceScatter: (group, own, { axis }) => [cut(reduced(group.map(([x]) => x!), "sum"), axis, own, group.length)],
  allToAll: (group, own, { splitAxis, concatAxis }) => [
    join(group.map(([x]) => cut(x!, splitAxis, own, group.length)), concatAxis),
  ],
  shardSlice: (group, own, { axis }) => [cut(group[own]![0]!, axis, own, group.length)],
  deviceIndex: (_, own) => [{ shape: [], data: Float64Array.of(own) }],
};

/** What a device has of a number that is a partial sum: none of them all of it, so that what is not linear shows. */
function floatShare(x: number, device: number): number {
  return device === 0 ? 0.25 * x : device === 1 ? 0.75 * x : 0;
}

function integerShare(x: number, device: number): number {
  return device === 0 ? x - 1 : device === 1 ? 1 : 0;
}

/** The shard of a tensor that a device holds. */
export function partOf(
  type: TensorType,
  whole: Elements,
  sharding: Sharding,
  mesh: MeshShape,
  device: number,
): Elements {
  const { starts, shape } = blockOf(type, sharding, mesh, device);
  const part = empty(shape);
  copyBlock({ shape: type.shape, data: whole }, starts, part, zeros(shape), shape);
  return part.data;
}

/** The results of a node on each device. */
function runNode(node: GraphNode, devices: readonly Map<Tensor, Elements>[], mesh: MeshShape): (readonly Elements[])[] {
  const operandsOf = (device: number) => node.operands.map((operand) => devices[device]!.get(operand)!);
  const { op } = node;
  if (!isCollective(op)) return devices.map((_, device) => [...evaluateNode(node, operandsOf(device))]);
  const meshAxes = node.attrs.meshAxes as readonly string[];
  return devices.map((_, device) => {
    const group = groupOf(mesh, meshAxes, device).map((member) =>
      operandsOf(member).map((data, i): Part => ({ shape: node.operands[i]!.shape, data }))
    );
    const own = groupIndex(mesh, meshAxes, device);
    return rules[op](group, own, node.attrs as unknown as Attributes).map(({ data }) => data);
  });
}

/**
 * The outputs of a partitioned graph, reassembled from their shards, in float64 and without rounding, given whole inputs.
 *
 * @throws {Error} when devices that should hold the same shard of an output do not.
 */
export function simulate(
  { graph, inputs, outputs }: Partitioned,
  mesh: MeshShape,
  wholes: readonly Elements[],
): Elements[] {
  const flat = decompose(graph);
  const devices = Array.from({ length: deviceCount(mesh) }, (_, device) =>
    new Map(flat.inputs.map((input, i) => {
      const part = partOf(wholeType(input.type, inputs[i]!, mesh), wholes[i]!, inputs[i]!, mesh, device);
      const { partial } = inputs[i]!;
      const own = groupIndex(mesh, partial, device);
      const share = input.dtype === "int32" ? integerShare : floatShare;
      return [input, partial.length === 0 ? part : part.map((x) => share(x, own))] as const;
    })));
  for (const node of flat.nodes) {
    runNode(node, devices, mesh).forEach((results, device) =>
      node.results.forEach((result, i) => devices[device]!.set(result, results[i]!))
    );
  }
  return flat.outputs.map((output, i) => {
    const type = wholeType(output.type, outputs[i]!, mesh);
    const whole = empty(type.shape);
    const written = empty(type.shape);
    const { dims, partial } = outputs[i]!;
    const alike = mesh.axes.map(({ name }) => name).filter((name) => ![...dims.flat(), ...partial].includes(name));
    devices.forEach((values, device) => {
      // Of devices that hold the same sum, one counts.
      if (partial.length > 0 && groupIndex(mesh, alike, device) > 0) return;
      const { starts, shape } = blockOf(type, outputs[i]!, mesh, device);
      const local = { shape, data: values.get(output)! };
      const before = empty(shape);
      copyBlock(whole, starts, before, zeros(shape), shape);
      const seen = empty(shape);
      copyBlock(written, starts, seen, zeros(shape), shape);
      const isPartial = partial.length > 0;
      const differs = local.data.findIndex((x, at) =>
        seen.data[at] === 1 && !isPartial && Math.abs(x - before.data[at]!) > 1e-9 * (1 + Math.abs(x))
      );
      if (differs >= 0) {
        throw new Error(
          `Device ${device} has ${local.data[differs]} in output "${graph.outputNames[i]}" ${
            formatSharding(outputs[i]!)
          }, another device has ${before.data[differs]}`,
        );
      }
      const sum = isPartial ? { shape, data: local.data.map((x, at) => x + before.data[at]!) } : local;
      copyBlock(sum, zeros(shape), whole, starts, shape);
      copyBlock({ shape, data: seen.data.fill(1) }, zeros(shape), written, starts, shape);
    });
    return whole.data;
  });
}
