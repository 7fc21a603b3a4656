/**
 * From one sharding of a tensor to another: which collectives, and at what cost.
 *
 * The cheapest move that helps comes first: a slice costs nothing and makes all that follows smaller, a reduce-scatter
 * costs half an all-reduce, an all-to-all moves what each device has, and an all-gather multiplies it.
 */
import { bytesOf, type CollectiveName, type TensorType } from "@tessera/core";
import { type MeshShape, partsOf, sameSharding, type Sharding } from "./sharding.ts";

/** One collective of a resharding. */
export type ReshardStep =
  | { readonly op: "allReduce"; readonly meshAxes: readonly string[] }
  | {
    readonly op: "allGather" | "reduceScatter" | "shardSlice";
    readonly axis: number;
    readonly meshAxes: readonly string[];
  }
  | {
    readonly op: "allToAll";
    readonly splitAxis: number;
    readonly concatAxis: number;
    readonly meshAxes: readonly string[];
  };

/** What a collective costs beside its bytes, in bytes that could have been sent meanwhile: some 6 µs at 90 GB/s. */
export const latencyBytes = 500_000;

/** How much of its own bytes a device sends in each collective, for groups of `n`: ring algorithms. */
export const bytesSent: { readonly [K in CollectiveName]: (bytes: number, n: number) => number } = {
  allReduce: (bytes, n) => 2 * bytes * (n - 1) / n,
  allGather: (bytes, n) => bytes * (n - 1),
  reduceScatter: (bytes, n) => bytes * (n - 1) / n,
  allToAll: (bytes, n) => bytes * (n - 1) / n,
  shardSlice: () => 0,
  deviceIndex: () => 0,
};

interface State {
  readonly dims: string[][];
  readonly partial: Set<string>;
}

/** The mesh axis that would bring one axis of a tensor closer to what is wanted, `null` when an outer one is in the way. */
function wantedNext(own: readonly string[], wanted: readonly string[]): string | null {
  return own.every((name, i) => name === wanted[i]) ? wanted[own.length] ?? null : null;
}

/** The next move, or `null` when there is nothing left to do. Applies it to the state. */
function nextStep(state: State, to: Sharding): ReshardStep | null {
  const { dims, partial } = state;
  const used = new Set(dims.flat());
  const wanted = dims.map((own, axis) => wantedNext(own, to.dims[axis]!));
  for (const [axis, name] of wanted.entries()) {
    if (name === null || used.has(name)) continue;
    dims[axis]!.push(name);
    return { op: partial.delete(name) ? "reduceScatter" : "shardSlice", axis, meshAxes: [name] };
  }
  const anywhere = new Set(to.dims.flat());
  const reduced = [...partial].filter((name) => !anywhere.has(name) && !to.partial.includes(name));
  if (reduced.length > 0) {
    reduced.forEach((name) => partial.delete(name));
    return { op: "allReduce", meshAxes: reduced };
  }
  const surplus = dims.flatMap((own, axis) => {
    const rest = own.findIndex((name, i) => name !== to.dims[axis]![i]);
    return rest < 0 ? [] : [axis];
  });
  for (const concatAxis of surplus) {
    const name = dims[concatAxis]!.at(-1)!;
    const splitAxis = wanted.indexOf(name);
    if (splitAxis < 0) continue;
    dims[concatAxis]!.pop();
    dims[splitAxis]!.push(name);
    return { op: "allToAll", splitAxis, concatAxis, meshAxes: [name] };
  }
  const axis = surplus[0];
  if (axis !== undefined) return { op: "allGather", axis, meshAxes: [dims[axis]!.pop()!] };
  return null;
}

/** Two moves as one where they are of a kind: the same tensor axis, over neighboring mesh axes. */
function joined(first: ReshardStep, second: ReshardStep): ReshardStep | null {
  if (first.op !== second.op) return null;
  if (first.op === "allReduce") return { op: "allReduce", meshAxes: [...first.meshAxes, ...second.meshAxes] };
  if (first.op === "allToAll" || second.op === "allToAll" || second.op === "allReduce") return null;
  if (first.axis !== second.axis) return null;
  // A gather takes off the innermost mesh axis first; the others put the outermost on first.
  const meshAxes = first.op === "allGather"
    ? [...second.meshAxes, ...first.meshAxes]
    : [...first.meshAxes, ...second.meshAxes];
  return { op: first.op, axis: first.axis, meshAxes };
}

/** A collective of a resharding, and the sharding after it. */
export interface ReshardMove {
  /** The collective. */
  readonly step: ReshardStep;
  /** The sharding of its result. */
  readonly after: Sharding;
}

/** The collectives that bring a tensor from one sharding to another; `null` when that would make it partial. */
export function reshardMoves(from: Sharding, to: Sharding, mesh: MeshShape): readonly ReshardMove[] | null {
  if (!to.partial.every((name) => from.partial.includes(name))) return null;
  const state: State = { dims: from.dims.map((own) => [...own]), partial: new Set(from.partial) };
  const moves: ReshardMove[] = [];
  const order = mesh.axes.map(({ name }) => name);
  for (let next = nextStep(state, to); next !== null; next = nextStep(state, to)) {
    const last = moves.at(-1);
    const both = last === undefined ? null : joined(last.step, next);
    if (both !== null) moves.pop();
    const step = both ?? next;
    const after = { dims: state.dims.map((own) => [...own]), partial: [...state.partial] };
    const sorted = step.meshAxes.toSorted((a, b) => order.indexOf(a) - order.indexOf(b));
    // The order of the devices matters to all but sums.
    moves.push({ step: step.op === "allReduce" ? { ...step, meshAxes: sorted } : step, after });
  }
  return moves;
}

/** What a resharding costs, in bytes sent by each device; infinite when it is not possible. */
export function reshardCost(type: TensorType, from: Sharding, to: Sharding, mesh: MeshShape): number {
  if (sameSharding(from, to)) return 0;
  const moves = reshardMoves(from, to, mesh);
  if (moves === null) return Infinity;
  let bytes = bytesOf(type) / partsOf(mesh, from.dims.flat());
  let cost = 0;
  for (const { step } of moves) {
    const n = partsOf(mesh, step.meshAxes);
    const sent = bytesSent[step.op](bytes, n);
    if (sent > 0) cost += sent + latencyBytes;
    if (step.op === "allGather") bytes *= n;
    if (step.op === "reduceScatter" || step.op === "shardSlice") bytes /= n;
  }
  return cost;
}
