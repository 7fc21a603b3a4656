/**
 * The lowering on WebGPU: programs of our own where tfjs's kernels are slow, convert integers to floats on the way, or do not
 * exist, and tfjs's kernels elsewhere.
 */

import {
  type Elementwise,
  type GraphNode,
  isIdentity,
  type Lowering,
  type Rule,
  sameShape,
  sizeOf,
} from "@tessera/core";
import { isPacked, partsOf, type Value } from "../engine/engine.ts";
import { type Group, groupProgram } from "../wgsl/elementwise.ts";
import { einsumProgram } from "../wgsl/products/matmul.ts";
import {
  addAtProgram,
  broadcastProgram,
  concatProgram,
  fullProgram,
  gatherPartProgram,
  gatherProgram,
  iotaProgram,
  overwriteSliceProgram,
  padProgram,
  sliceProgram,
  takeAlongAxisProgram,
  transposeProgram,
  updateSliceProgram,
} from "../wgsl/movement.ts";
import {
  argMaxProgram,
  cumSumProgram,
  partsOfReduction,
  type ReductionName,
  reductionProgram,
} from "../wgsl/reduction.ts";
import { type FamilyLowering, resultType } from "./family.ts";
import { empty } from "./movement.ts";
import { byProgram, productInParts, runProgram } from "./programs.ts";
import { tfjsLowering } from "./table.ts";
import { webgpuComposites } from "./webgpu_composites.ts";
import type { Workspace } from "./workspace.ts";

/** Runs a group of elementwise nodes, by the program that is made of it. */
export function runGroup(workspace: Workspace, group: Group, operands: readonly Value[], make = groupProgram): Value {
  const { dtype, shape } = group.output;
  return sizeOf(shape) === 0 ? empty(workspace, dtype, shape) : runProgram(workspace, make(group, operands));
}

/** A node by itself as a group of one. */
const alone = (workspace: Workspace, operands: readonly Value[], _: unknown, node: GraphNode): [Value] => {
  const inputs = [...new Set(node.operands)];
  const values = inputs.map((input) => operands[node.operands.indexOf(input)]!);
  return [runGroup(workspace, { nodes: [node], inputs, output: node.results[0]! }, values)];
};

const elementwise: FamilyLowering<keyof Elementwise> = Object.fromEntries(
  [
    ...[
      "neg",
      "abs",
      "sign",
      "floor",
      "exp",
      "log",
      "sqrt",
      "rsqrt",
      "sin",
      "cos",
      "tanh",
      "sigmoid",
      "not",
      "add",
      "sub",
    ],
    ...[
      "mul",
      "div",
      "pow",
      "maximum",
      "minimum",
      "equal",
      "less",
      "lessEqual",
      "greater",
      "greaterEqual",
      "and",
      "or",
    ],
    ...["where", "cast"],
  ].map((op) => [op, alone]),
) as unknown as FamilyLowering<keyof Elementwise>;

function reduction(name: ReductionName): Rule<ReductionName, Workspace, Value> {
  return (workspace, [x], { axes }, node) => {
    const type = resultType(node);
    if (axes.length === 0) return [x];
    if (sizeOf(type.shape) === 0) return [empty(workspace, type.dtype, type.shape)];
    if (sizeOf(x.shape) === 0) return tfjsLowering[name](workspace, [x], node.attrs as never, node);
    const results = sizeOf(type.shape);
    const parts = partsOfReduction(sizeOf(x.shape) / results, results);
    if (parts === 1) return [runProgram(workspace, reductionProgram(name, x, axes, type))];
    const partial = { dtype: type.dtype, shape: [results, parts] };
    const some = runProgram(workspace, reductionProgram(name, x, axes, partial, parts));
    return [runProgram(workspace, reductionProgram(name, some, [1], type))];
  };
}

/** WebGPU binds at most this many inputs to a program that writes one result. */
const mostOperands = 7;

/** Operands one after the other, a few at a time. */
function concat(workspace: Workspace, operands: readonly Value[], axis: number): Value {
  const some = operands.filter(({ shape }) => sizeOf(shape) > 0);
  if (some.length === 1) return some[0]!;
  if (some.length <= mostOperands) return runProgram(workspace, concatProgram(some, axis));
  const first = runProgram(workspace, concatProgram(some.slice(0, mostOperands), axis));
  return concat(workspace, [first, ...some.slice(mostOperands)], axis);
}

/** Adds updates at positions; every rule that is given none returns the base. */
function addAt(shared: boolean): Rule<"scatterAdd", Workspace, Value> {
  return (workspace, [base, indices, updates], { axis }) =>
    sizeOf(updates.shape) === 0 ? [base] : [runProgram(workspace, {
      ...addAtProgram(base, indices, updates, axis, shared),
      inPlace: workspace.mayOverwrite(0),
    })];
}

const gatherWhole = byProgram<"gather">(([x, indices], { axis }) => gatherProgram(x!, indices!, axis));

/** One rule per op; a composite without a program is decomposed. */
export const webgpuLowering: Lowering<Workspace, Value> = {
  ...tfjsLowering,
  ...elementwise,
  ...webgpuComposites,
  full: byProgram<"full">((_, { dtype, shape, value }) => fullProgram(dtype, shape, value)),
  iota: byProgram<"iota">((_, { dtype, shape, axis }) => iotaProgram(dtype, shape, axis)),
  sum: reduction("sum"),
  max: reduction("max"),
  min: reduction("min"),
  cumSum: byProgram<"cumSum">(([x], { axis }) => cumSumProgram(x!, axis)),
  argMax: byProgram<"argMax">(([x], { axis }, node) => argMaxProgram(x!, axis, resultType(node))),
  einsum: (workspace, operands, attrs, node) => {
    const [a, b] = operands;
    if (sizeOf(a.shape) === 0 || sizeOf(b.shape) === 0) return tfjsLowering.einsum(workspace, operands, attrs, node);
    const { spec, scale = 1 } = attrs;
    if (a.parts === undefined && b.parts === undefined) {
      return [runProgram(workspace, einsumProgram(spec, a, b, scale))];
    }
    const whole = (part: Value) => a.parts === undefined ? [a, part] as const : [part, b] as const;
    return [
      productInParts(workspace, spec, a.parts === undefined ? b : a, a.parts === undefined ? 1 : 0, resultType(node), (
        part,
        share,
      ) => einsumProgram(spec, ...whole(part), scale, share)),
    ];
  },
  transpose: (workspace, [x], { permutation }) => {
    const moved = permutation.filter((axis) => x.shape[axis] !== 1);
    const shape = permutation.map((axis) => x.shape[axis]!);
    if (isIdentity(permutation) || sizeOf(shape) === 0 || moved.every((axis, i) => i === 0 || moved[i - 1]! < axis)) {
      return [workspace.view(x, shape)];
    }
    return [runProgram(workspace, transposeProgram(x, permutation))];
  },
  broadcastTo: (workspace, [x], { shape }) => {
    if (sizeOf(shape) === sizeOf(x.shape)) return [workspace.view(x, shape)];
    if (sizeOf(shape) === 0) return [empty(workspace, x.dtype, shape)];
    return [runProgram(workspace, broadcastProgram(x, shape))];
  },
  slice: (workspace, [x], { starts, strides }, node) => {
    const { dtype, shape } = resultType(node);
    if (sameShape(shape, x.shape)) return [x];
    return [
      sizeOf(shape) === 0
        ? empty(workspace, dtype, shape)
        : runProgram(workspace, sliceProgram(x, shape, starts, strides)),
    ];
  },
  pad: (workspace, [x], { low, high, value }, node) => {
    const { dtype, shape } = resultType(node);
    if (sameShape(shape, x.shape)) return [x];
    const filled = sizeOf(x.shape) === 0 ? fullProgram(dtype, shape, value) : padProgram(x, low, high, value);
    return [runProgram(workspace, filled)];
  },
  concat: (workspace, operands, { axis }, node) => {
    const { dtype, shape } = resultType(node);
    return [sizeOf(shape) === 0 ? empty(workspace, dtype, shape) : concat(workspace, operands, axis)];
  },
  gather: (workspace, operands, attrs, node) => {
    const [x, indices] = operands;
    const { dtype, shape } = resultType(node);
    if (x.parts === undefined || sizeOf(shape) === 0) return gatherWhole(workspace, operands, attrs, node);
    const rows = runProgram(workspace, fullProgram(dtype, shape, 0));
    for (const { part, start } of partsOf(x)) runProgram(workspace, gatherPartProgram(part, start, indices, rows));
    return [rows];
  },
  takeAlongAxis: byProgram<"takeAlongAxis">(([x, indices], { axis }) => takeAlongAxisProgram(x!, indices!, axis)),
  scatterAdd: addAt(true),
  addAlongAxis: addAt(false),
  updateSlice: (workspace, [base, update, starts], { axis }) => {
    if (sizeOf(update.shape) === 0) return [base];
    const program = workspace.mayOverwrite(0) && !isPacked(base.dtype) ? overwriteSliceProgram : updateSliceProgram;
    return [runProgram(workspace, program(base, update, starts, axis))];
  },
};
