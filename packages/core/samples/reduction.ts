/** Sample calls of the creation and reduction ops. */
import type { Creation } from "../ops/creation.ts";
import type { Reduction } from "../ops/reduction.ts";
import {
  constantSample,
  distinct,
  given,
  integers,
  type OperandSample,
  type Sample,
  sample,
  type SampleTable,
  signed,
} from "./sample.ts";

/** The samples of the creation family. */
export const creationSamples: SampleTable<Creation> = {
  full: [
    constantSample("matrix", [], { shape: [2, 3], dtype: "float32", value: 0.5 }),
    constantSample("scalar", [], { shape: [], dtype: "float32", value: -3 }),
    constantSample("infinity", [], { shape: [2], dtype: "float32", value: -Infinity }),
    constantSample("bfloat16, rounded", [], { shape: [2], dtype: "bfloat16", value: 0.1 }),
    constantSample("int32", [], { shape: [3], dtype: "int32", value: -1 }),
    constantSample("bool", [], { shape: [1, 2], dtype: "bool", value: 1 }),
    constantSample("no elements", [], { shape: [0, 2], dtype: "float32", value: 1 }),
  ],
  constant: [
    constantSample("matrix", [], { shape: [2, 2], dtype: "float32", values: [1, -2, 0.25, 4] }),
    constantSample("scalar", [], { shape: [], dtype: "float32", values: [7] }),
    constantSample("float16", [], { shape: [2], dtype: "float16", values: [0.1, 65504] }),
    constantSample("int32", [], { shape: [3], dtype: "int32", values: [3, -1, 2] }),
    constantSample("bool", [], { shape: [2], dtype: "bool", values: [0, 1] }),
  ],
  iota: [
    constantSample("vector", [], { shape: [5], dtype: "int32", axis: 0 }),
    constantSample("rows", [], { shape: [2, 3], dtype: "int32", axis: 0 }),
    constantSample("columns", [], { shape: [2, 3], dtype: "float32", axis: 1 }),
  ],
};

function reduction<K extends "sum" | "max" | "min">(fill: (shape: readonly number[]) => OperandSample): readonly [
  Sample<K>,
  ...Sample<K>[],
] {
  const make = (name: string, shape: readonly number[], axes: readonly number[], keepDims: boolean) =>
    sample<K>(name, [fill(shape)] as never, { axes, keepDims });
  return [
    make("last axis", [2, 4], [1], false),
    make("first axis, kept", [2, 4], [0], true),
    make("all axes", [2, 4], [0, 1], false),
    make("all axes, kept", [2, 4], [0, 1], true),
    make("outer axes", [2, 2, 3], [0, 1], false),
    make("outer and inner axis", [2, 2, 3], [0, 2], true),
    make("axis of one", [3, 1, 2], [1], false),
    make("no axes", [2, 4], [], false),
    make("scalar", [], [], false),
    constantSample<K>("int32", [integers([2, 4], -9, 9)] as never, { axes: [1], keepDims: false }),
  ];
}

/** The samples of the reduction family. */
export const reductionSamples: SampleTable<Reduction> = {
  sum: reduction<"sum">(signed),
  max: reduction<"max">(distinct),
  min: reduction<"min">(distinct),
  argMax: [
    constantSample("last axis", [distinct([2, 4])], { axis: 1 }),
    constantSample("first axis", [distinct([4, 2])], { axis: 0 }),
    constantSample("middle axis", [distinct([2, 3, 2])], { axis: 1 }),
    constantSample("vector", [distinct([5])], { axis: 0 }),
    constantSample("first of several", [given([2, 3], "float32", [1, 2, 2, 3, 0, 3])], { axis: 1 }),
    constantSample("int32", [integers([2, 4], -9, 9)], { axis: 1 }),
  ],
  cumSum: [
    sample("last axis", [signed([2, 4])], { axis: 1 }),
    sample("first axis", [signed([3, 2])], { axis: 0 }),
    sample("vector", [signed([5])], { axis: 0 }),
    constantSample("int32", [integers([2, 4], -9, 9)], { axis: 1 }),
  ],
  topK: [
    sample("two of a row", [distinct([2, 5])], { k: 2 }),
    sample("one of a vector", [distinct([4])], { k: 1 }),
    sample("all, sorted", [distinct([2, 2, 3])], { k: 3 }),
  ],
};
