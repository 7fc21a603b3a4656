/** Programs that move elements: each element of the result says where it comes from. */

import { type DType, sizeOf } from "@tessera/core";
import { elementsPerWord, type Value } from "../engine/engine.ts";
import { elementAt, elementProgram, elementTypes } from "./element.ts";
import { broadcastIndex, stridedIndex, stridesOf } from "./index_map.ts";
import { literal, type Program } from "./program.ts";

function moved(name: string, x: Value, shape: readonly number[], at: string): Program {
  const { dtype } = x;
  return elementProgram({
    name,
    inputs: [{ name: "x", value: x }],
    output: { dtype, shape },
    code: `fn element(index : i32) -> ${elementTypes[dtype]} { return ${elementAt("x", dtype, at)}; }`,
  });
}

/** The axes in another order. */
export function transposeProgram(x: Value, permutation: readonly number[]): Program {
  const strides = stridesOf(x.shape);
  const shape = permutation.map((axis) => x.shape[axis]!);
  return moved("transpose", x, shape, stridedIndex("index", shape, permutation.map((axis) => strides[axis]!)));
}

/** The elements repeated to a larger shape. */
export function broadcastProgram(x: Value, shape: readonly number[]): Program {
  return moved("broadcastTo", x, shape, broadcastIndex("index", x.shape, shape));
}

/** Every `steps`-th element from `starts` on. */
export function sliceProgram(
  x: Value,
  shape: readonly number[],
  starts: readonly number[],
  steps: readonly number[],
): Program {
  const strides = stridesOf(x.shape);
  const offset = starts.reduce((sum, start, axis) => sum + start * strides[axis]!, 0);
  return moved("slice", x, shape, stridedIndex("index", shape, strides.map((stride, i) => stride * steps[i]!), offset));
}

/** A value of a dtype as WGSL. */
function constantOf(dtype: DType, value: number): string {
  const type = elementTypes[dtype];
  return type === "bool" ? `${value !== 0}` : literal(value, type);
}

/** The elements with a value around them. */
export function padProgram(x: Value, low: readonly number[], high: readonly number[], value: number): Program {
  const { dtype } = x;
  const shape = x.shape.map((length, axis) => low[axis]! + length + high[axis]!);
  const [to, from] = [stridesOf(shape), stridesOf(x.shape)];
  const axes = shape.map((length, axis) =>
    `let p${axis} = (index / ${to[axis]}) % ${length} - ${low[axis]};
  if (p${axis} < 0 || p${axis} >= ${x.shape[axis]}) { return ${constantOf(dtype, value)}; }`
  );
  const at = x.shape.map((_, axis) => `p${axis} * ${from[axis]}`).join(" + ");
  return elementProgram({
    name: "pad",
    inputs: [{ name: "x", value: x }],
    output: { dtype, shape },
    code: `fn element(index : i32) -> ${elementTypes[dtype]} {
  ${axes.join("\n  ")}
  return ${elementAt("x", dtype, at)};
}`,
  });
}

/** Some operands one after the other along an axis. */
export function concatProgram(operands: readonly Value[], axis: number): Program {
  const { dtype, shape: first } = operands[0]!;
  const total = operands.reduce((sum, { shape }) => sum + shape[axis]!, 0);
  const inner = sizeOf(first.slice(axis + 1));
  let start = 0;
  const branches = operands.map(({ shape }, i) => {
    const length = shape[axis]!;
    const at = `(outer * ${length} + place - ${start}) * ${inner} + rest`;
    start += length;
    return `if (place < ${start}) { return ${elementAt(`x${i}`, dtype, at)}; }`;
  });
  return elementProgram({
    name: "concat",
    inputs: operands.map((value, i) => ({ name: `x${i}`, value })),
    output: { dtype, shape: first.map((length, i) => i === axis ? total : length) },
    code: `fn element(index : i32) -> ${elementTypes[dtype]} {
  let rest = index % ${inner};
  let place = (index / ${inner}) % ${total};
  let outer = index / ${inner * total};
  ${branches.join("\n  ")}
  return ${constantOf(dtype, 0)};
}`,
  });
}

/** A tensor whose elements are all one value. */
export function fullProgram(dtype: DType, shape: readonly number[], value: number): Program {
  return elementProgram({
    name: "full",
    inputs: [],
    output: { dtype, shape },
    code: `fn element(index : i32) -> ${elementTypes[dtype]} { return ${constantOf(dtype, value)}; }`,
  });
}

/** Positions along an axis. */
export function iotaProgram(dtype: DType, shape: readonly number[], axis: number): Program {
  const position = `(index / ${sizeOf(shape.slice(axis + 1))}) % ${shape[axis]}`;
  const type = elementTypes[dtype];
  const value = type === "i32" ? position : type === "bool" ? `(${position} != 0)` : `f32(${position})`;
  return elementProgram({
    name: "iota",
    inputs: [],
    output: { dtype, shape },
    code: `fn element(index : i32) -> ${type} { return ${value}; }`,
  });
}

/** Slices along an axis at positions from a tensor. */
export function gatherProgram(x: Value, indices: Value, axis: number): Program {
  const { dtype, shape } = x;
  const [length, inner, count] = [shape[axis]!, sizeOf(shape.slice(axis + 1)), sizeOf(indices.shape)];
  return elementProgram({
    name: "gather",
    inputs: [{ name: "x", value: x }, { name: "indices", value: indices }],
    output: { dtype, shape: [...shape.slice(0, axis), ...indices.shape, ...shape.slice(axis + 1)] },
    code: `fn element(index : i32) -> ${elementTypes[dtype]} {
  let place = indices[(index / ${inner}) % ${count}];
  let at = (index / ${inner * count} * ${length} + place) * ${inner} + index % ${inner};
  return ${elementAt("x", dtype, "at")};
}`,
  });
}

/**
 * Rows of a table in slices: those that a slice has are written into the result so far, which nobody else has. Where
 * elements share a word, those of other rows keep their bits.
 */
export function gatherPartProgram(part: Value, start: number, indices: Value, into: Value): Program {
  const { dtype } = part;
  const [count, inner, per] = [sizeOf(into.shape), sizeOf(part.shape.slice(1)), elementsPerWord(dtype)];
  const bits = per === 1 ? "table[at]" : `bitcast<u32>(table[at / ${per}]) >> (u32(at % ${per}) * ${32 / per}u)`;
  const mask = per === 1 ? 0 : 2 ** (32 / per) - 1;
  const write = per === 1 ? "result[index] = table[at];" : `let shift = u32(i) * ${32 / per}u;
      let kept = bitcast<u32>(result[index]) & ~(${mask}u << shift);
      result[index] = bitcast<i32>(kept | (((${bits}) & ${mask}u) << shift));`;
  return {
    name: "gather from a part",
    inputs: [{ name: "table", value: part }, { name: "indices", value: indices }],
    output: { dtype, shape: into.shape },
    into,
    inPlace: true,
    code: `fn main(index : i32) {
  for (var i = 0; i < ${per}; i++) {
    let element = index * ${per} + i;
    if (element >= ${count}) { return; }
    let row = indices[element / ${inner}] - ${start};
    if (row >= 0 && row < ${part.shape[0]}) {
      let at = row * ${inner} + element % ${inner};
      ${write}
    }
  }
}`,
  };
}

/** Single elements along an axis at positions from a tensor. */
export function takeAlongAxisProgram(x: Value, indices: Value, axis: number): Program {
  const { dtype, shape } = x;
  const [length, inner, count] = [shape[axis]!, sizeOf(shape.slice(axis + 1)), indices.shape[axis]!];
  return elementProgram({
    name: "takeAlongAxis",
    inputs: [{ name: "x", value: x }, { name: "indices", value: indices }],
    output: { dtype, shape: indices.shape },
    code: `fn element(index : i32) -> ${elementTypes[dtype]} {
  let at = (index / ${inner * count} * ${length} + indices[index]) * ${inner} + index % ${inner};
  return ${elementAt("x", dtype, "at")};
}`,
  });
}

/** The base with each row's update written from the row's start on along an axis. */
export function updateSliceProgram(base: Value, update: Value, starts: Value, axis: number): Program {
  const { dtype, shape } = base;
  const [length, inner, count] = [shape[axis]!, sizeOf(shape.slice(axis + 1)), update.shape[axis]!];
  const row = sizeOf(shape.slice(1));
  return elementProgram({
    name: "updateSlice",
    inputs: [{ name: "base", value: base }, { name: "update", value: update }, { name: "starts", value: starts }],
    output: { dtype, shape },
    code: `fn element(index : i32) -> ${elementTypes[dtype]} {
  let place = (index / ${inner}) % ${length} - starts[index / ${row}];
  if (place < 0 || place >= ${count}) { return ${elementAt("base", dtype, "index")}; }
  let at = (index / ${inner * length} * ${count} + place) * ${inner} + index % ${inner};
  return ${elementAt("update", dtype, "at")};
}`,
  });
}

/** The same where nobody else has the base, whose elements take a word each: only the update is written. */
export function overwriteSliceProgram(base: Value, update: Value, starts: Value, axis: number): Program {
  const [length, inner, count] = [base.shape[axis]!, sizeOf(base.shape.slice(axis + 1)), update.shape[axis]!];
  const size = sizeOf(update.shape);
  return {
    name: "overwriteSlice",
    inputs: [{ name: "update", value: update }, { name: "starts", value: starts }],
    output: { dtype: base.dtype, shape: base.shape },
    into: base,
    inPlace: true,
    threads: size,
    code: `fn main(index : i32) {
  if (index >= ${size}) { return; }
  let place = starts[index / ${sizeOf(update.shape.slice(1))}] + (index / ${inner}) % ${count};
  if (place >= 0 && place < ${length}) {
    result[(index / ${inner * count} * ${length} + place) * ${inner} + index % ${inner}] = update[index];
  }
}`,
  };
}

/**
 * Adds updates into the result, which holds the base: at positions along an axis that all columns share, or that each has
 * for itself. A thread adds what belongs to its column, one after the other, so that sums are the same in every run.
 */
export function addAtProgram(base: Value, indices: Value, updates: Value, axis: number, shared: boolean): Program {
  const { dtype, shape } = base;
  const [length, inner] = [shape[axis]!, sizeOf(shape.slice(axis + 1))];
  const outer = sizeOf(shape.slice(0, axis));
  const count = shared ? sizeOf(indices.shape) : indices.shape[axis]!;
  return {
    name: "addAt",
    inputs: [{ name: "indices", value: indices }, { name: "updates", value: updates }],
    output: { dtype, shape },
    into: base,
    threads: outer * inner,
    code: `fn main(index : i32) {
  if (index >= ${outer * inner}) { return; }
  let column = index % ${inner};
  let row = index / ${inner};
  for (var i = 0; i < ${count}; i++) {
    let source = (row * ${count} + i) * ${inner} + column;
    let place = (row * ${length} + indices[${shared ? "i" : "source"}]) * ${inner} + column;
    result[place] = result[place] + updates[source];
  }
}`,
  };
}
