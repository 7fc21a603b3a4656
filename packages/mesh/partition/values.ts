/** The values of a graph while it is being partitioned: in which shardings each one exists on the devices. */
import { type Attrs, bytesOf, emit, type OpName, type Tensor, type TensorType } from "@tessera/core";
import { createLocal } from "./local_ops.ts";
import { reshardCost, reshardMoves, type ReshardStep } from "../sharding/reshard.ts";
import {
  axisSize,
  localType,
  type MeshShape,
  partsOf,
  replicated,
  sameSharding,
  type Sharding,
} from "../sharding/sharding.ts";

/** A value in one sharding. */
export interface Form {
  /** How it is sharded. */
  readonly sharding: Sharding;
  /** Each device's shard, a tensor of the local graph. */
  readonly local: Tensor;
}

/** A value of the whole graph. */
export interface Value {
  /** The tensor of the whole graph. */
  readonly tensor: Tensor;
  /** The forms that exist so far, the one that was computed first. */
  readonly forms: Form[];
  /** Whether it depends on nothing, so that any part of it can be made anywhere. */
  readonly isFree: boolean;
}

/** How a value was computed; `null` when it is made wherever it is needed. */
export function homeOf(value: Value): Sharding | null {
  return value.isFree ? null : value.forms[0]!.sharding;
}

/** Emits a collective, or nothing where a group is one device. */
export function emitCollective(
  op: OpName,
  operands: readonly Tensor[],
  meshAxes: readonly string[],
  mesh: MeshShape,
  attrs: Attrs = {},
): Tensor {
  return emit(op, operands, { ...attrs, meshAxes, size: partsOf(mesh, meshAxes) })[0]!;
}

function emitStep(step: ReshardStep, local: Tensor, mesh: MeshShape): Tensor {
  const { op, ...attrs } = step;
  const meshAxes = step.meshAxes.filter((name) => axisSize(mesh, name) > 1);
  if (meshAxes.length === 0) return local;
  return emitCollective(op, [local], meshAxes, mesh, op === "allReduce" ? { ...attrs, reduce: "sum" } : attrs);
}

/** What it costs to have a value in a sharding, in bytes sent by each device. */
export function costOf(value: Value, target: Sharding, mesh: MeshShape): number {
  if (value.isFree) return 0;
  return Math.min(...value.forms.map(({ sharding }) => reshardCost(value.tensor.type, sharding, target, mesh)));
}

/** Each device's shard of a value in a sharding; intermediate forms are kept for reuse. */
export function localOf(value: Value, target: Sharding, mesh: MeshShape): Tensor {
  const { tensor, forms } = value;
  const found = forms.find(({ sharding }) => sameSharding(sharding, target));
  if (found !== undefined) return found.local;
  if (value.isFree) {
    const whole = { dims: target.dims, partial: [] };
    const { shape } = localType(tensor.type, whole, mesh);
    const collective = (op: OpName, operands: readonly Tensor[], meshAxes: readonly string[], attrs?: Attrs) =>
      emitCollective(op, operands, meshAxes, mesh, attrs);
    const made = createLocal(tensor.producer!, target.dims, shape, collective);
    if (made !== null) {
      forms.push({ sharding: target, local: made });
      return made;
    }
    if (forms.length === 0) {
      const { op, attrs } = tensor.producer!;
      forms.push({ sharding: replicated(tensor.rank), local: emit(op, [], attrs)[0]! });
    }
  }
  const costs = forms.map(({ sharding }) => reshardCost(tensor.type, sharding, target, mesh));
  const { sharding, local } = forms[costs.indexOf(Math.min(...costs))]!;
  let current = local;
  for (const { step, after } of reshardMoves(sharding, target, mesh)!) {
    current = emitStep(step, current, mesh);
    forms.push({ sharding: after, local: current });
  }
  return current;
}

/** The bytes of a device's shard of a tensor. */
export function localBytes(type: TensorType, { dims }: Sharding, mesh: MeshShape): number {
  return bytesOf(type) / partsOf(mesh, dims.flat());
}
