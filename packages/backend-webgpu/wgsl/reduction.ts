/** Sums and extremes over any axes. */

import { sizeOf, type TensorType } from "@tessera/core";
import type { Value } from "../engine/engine.ts";
import { elementAt, elementProgram, elementTypes } from "./element.ts";
import { stridedIndex, stridesOf } from "./index_map.ts";
import { packedCode } from "./packed.ts";
import { gridOf, literal, type Program } from "./program.ts";

/** What combines two elements, and what changes none. */
const combinations = {
  sum: { start: { f32: "0.0", i32: "0" }, combine: (a: string, b: string) => `${a} + ${b}` },
  max: {
    start: { f32: literal(-Infinity), i32: literal(-(2 ** 31), "i32") },
    combine: (a: string, b: string) => `max(${a}, ${b})`,
  },
  min: {
    start: { f32: literal(Infinity), i32: literal(2 ** 31 - 1, "i32") },
    combine: (a: string, b: string) => `min(${a}, ${b})`,
  },
} as const;

/** The name of a reduction. */
export type ReductionName = keyof typeof combinations;

/** Where a group of threads shares the work on one result, it has this many. */
const groupThreads = 64;

/** From how many elements on a result is made of parts, about how many elements a part has, and how many groups are enough. */
const [longReduction, longPart, busyGroups] = [2 ** 14, 2 ** 12, 2 ** 10];

/** In how many parts each result of a reduction is computed, so that no thread works long while the others of a GPU wait. */
export function partsOfReduction(count: number, results: number): number {
  if (count < longReduction) return 1;
  return Math.max(1, Math.min(Math.ceil(count / longPart), Math.floor(busyGroups / results)));
}

/** A reduction of a tensor over axes; with several parts, the results of each part, one after the other for each result. */
export function reductionProgram(
  name: ReductionName,
  x: Value,
  axes: readonly number[],
  output: TensorType,
  parts = 1,
): Program {
  const strides = stridesOf(x.shape);
  const kept = x.shape.flatMap((_, axis) => axes.includes(axis) ? [] : [axis]);
  const pick = (list: readonly number[]) => axes.map((axis) => list[axis]!);
  const reduced = pick(x.shape);
  const [count, results] = [sizeOf(reduced), sizeOf(output.shape)];
  const place = parts === 1 ? "index" : `(index / ${parts})`;
  const start = stridedIndex(place, kept.map((axis) => x.shape[axis]!), kept.map((axis) => strides[axis]!));
  const step = stridedIndex("i", reduced, pick(strides));
  const type = elementTypes[x.dtype] as "f32" | "i32";
  const { start: neutral, combine } = combinations[name];
  const inputs = [{ name: "x", value: x }];
  const at = elementAt("x", x.dtype, `start + ${step}`);
  // Many results keep all threads busy by themselves; few long ones are shared.
  if (parts === 1 && (count <= groupThreads || results >= 2 ** 16)) {
    return elementProgram({
      name,
      inputs,
      output,
      code: `fn element(index : i32) -> ${type} {
  let start = ${start};
  var total = ${neutral[type]};
  for (var i = 0; i < ${count}; i++) { total = ${combine("total", at)}; }
  return total;
}`,
    });
  }
  const { groups, group } = gridOf(results);
  const first = parts === 1 ? "i32(localIndex)" : `index % ${parts} * ${groupThreads} + i32(localIndex)`;
  return {
    name: `${name} shared`,
    inputs,
    output,
    groups,
    groupSize: [groupThreads, 1, 1],
    code: `${packedCode}var<workgroup> parts : array<${type}, ${groupThreads}>;
fn main() {
  let index = ${group};
  let start = ${start};
  var total = ${neutral[type]};
  if (index < ${results}) {
    for (var i = ${first}; i < ${count}; i += ${groupThreads * parts}) { total = ${combine("total", at)}; }
  }
  parts[localIndex] = total;
  workgroupBarrier();
  for (var half = ${groupThreads / 2}u; half > 0u; half = half / 2u) {
    if (localIndex < half) { parts[localIndex] = ${combine("parts[localIndex]", "parts[localIndex + half]")}; }
    workgroupBarrier();
  }
  if (localIndex == 0u && index < ${results}) { result[index] = parts[0]; }
}`,
  };
}

/** The sums of each element and those before it along an axis; each thread of a line's group has some neighbors. */
export function cumSumProgram(x: Value, axis: number): Program {
  const { dtype, shape } = x;
  const [length, inner] = [shape[axis]!, sizeOf(shape.slice(axis + 1))];
  const results = sizeOf(shape) / length;
  const { groups, group } = gridOf(results);
  const share = Math.ceil(length / groupThreads);
  const type = elementTypes[dtype] as "f32" | "i32";
  const zero = combinations.sum.start[type];
  return {
    name: "cumSum",
    inputs: [{ name: "x", value: x }],
    output: { dtype, shape },
    groups,
    groupSize: [groupThreads, 1, 1],
    code: `var<workgroup> parts : array<${type}, ${groupThreads}>;
fn main() {
  let index = ${group};
  let start = index / ${inner} * ${length * inner} + index % ${inner};
  let first = i32(localIndex) * ${share};
  let last = select(first, min(first + ${share}, ${length}), index < ${results});
  var total = ${zero};
  for (var i = first; i < last; i++) { total += x[start + i * ${inner}]; }
  parts[localIndex] = total;
  workgroupBarrier();
  total = ${zero};
  for (var i = 0u; i < localIndex; i++) { total += parts[i]; }
  for (var i = first; i < last; i++) {
    total += x[start + i * ${inner}];
    result[start + i * ${inner}] = total;
  }
}`,
  };
}

/** Where the largest element along an axis is, the first of several. */
export function argMaxProgram(x: Value, axis: number, output: TensorType): Program {
  const [length, inner] = [x.shape[axis]!, sizeOf(x.shape.slice(axis + 1))];
  const results = sizeOf(output.shape);
  const { groups, group } = gridOf(results);
  const type = elementTypes[x.dtype] as "f32" | "i32";
  const lowest = combinations.max.start[type];
  return {
    name: "argMax",
    inputs: [{ name: "x", value: x }],
    output,
    groups,
    groupSize: [groupThreads, 1, 1],
    code: `var<workgroup> largest : array<${type}, ${groupThreads}>;
var<workgroup> places : array<i32, ${groupThreads}>;
fn main() {
  let index = ${group};
  let start = index / ${inner} * ${length * inner} + index % ${inner};
  var best = ${lowest};
  var place = ${length};
  if (index < ${results}) {
    for (var i = i32(localIndex); i < ${length}; i += ${groupThreads}) {
      let value = x[start + i * ${inner}];
      if (value > best || place == ${length}) { best = value; place = i; }
    }
  }
  largest[localIndex] = best;
  places[localIndex] = place;
  workgroupBarrier();
  for (var half = ${groupThreads / 2}u; half > 0u; half = half / 2u) {
    if (localIndex < half) {
      let other = largest[localIndex + half];
      let at = places[localIndex + half];
      if (other > largest[localIndex] || (other == largest[localIndex] && at < places[localIndex])) {
        largest[localIndex] = other;
        places[localIndex] = at;
      }
    }
    workgroupBarrier();
  }
  if (localIndex == 0u && index < ${results}) { result[index] = places[0]; }
}`,
  };
}
