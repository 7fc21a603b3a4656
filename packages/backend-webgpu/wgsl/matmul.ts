/**
 * The einsum of two tensors as one matrix product that moves nothing first.
 *
 * The letters of a spec fall into four groups (batch, rows, columns, contracted), and a group of axes is counted by one
 * number. Operands and result are read and written through their own strides, so an order of axes costs a few integer
 * operations at most, and float16 and bfloat16 factors are widened where they are read.
 */

import { parseEinsum, sizeOf } from "@tessera/core";
import type { Value } from "../engine.ts";
import { elementAt, elementProgram } from "./element.ts";
import { packedCode } from "./packed.ts";
import { stridedIndex, stridesOf } from "./index_map.ts";
import { literal, type Program } from "./program.ts";

/** One side of an einsum: its letters and how far apart their elements stand. */
interface Side {
  readonly letters: string;
  readonly strides: ReadonlyMap<string, number>;
}

/** The groups of letters, each in the order in which it is counted, and the length of every letter. */
interface Groups {
  readonly batch: string;
  readonly rows: string;
  readonly columns: string;
  readonly inner: string;
  readonly lengths: ReadonlyMap<string, number>;
}

function sideOf(letters: string, shape: readonly number[]): Side {
  const strides = stridesOf(shape);
  return { letters, strides: new Map([...letters].map((letter, axis) => [letter, strides[axis]!])) };
}

function groupsOf(spec: string, a: readonly number[], b: readonly number[]): Groups {
  const sides = parseEinsum(spec);
  const lengths = new Map([...sides.a].map((letter, axis) => [letter, a[axis]!]));
  [...sides.b].forEach((letter, axis) => lengths.set(letter, b[axis]!));
  const keep = (letters: string, wanted: (letter: string) => boolean) => [...letters].filter(wanted).join("");
  return {
    batch: keep(sides.out, (letter) => sides.a.includes(letter) && sides.b.includes(letter)),
    rows: keep(sides.out, (letter) => !sides.b.includes(letter)),
    columns: keep(sides.out, (letter) => !sides.a.includes(letter)),
    inner: keep(sides.b, (letter) => !sides.out.includes(letter)),
    lengths,
  };
}

/** WGSL for where in a side the element stands that a group's number chooses. */
function place(index: string, group: string, side: Side, lengths: ReadonlyMap<string, number>): string {
  const shape = [...group].map((letter) => lengths.get(letter)!);
  return stridedIndex(index, shape, [...group].map((letter) => side.strides.get(letter) ?? 0));
}

/** Whether counting a group walks neighbours in a side. */
function isContiguous(group: string, side: Side, lengths: ReadonlyMap<string, number>): boolean {
  const last = [...group].findLast((letter) => lengths.get(letter) !== 1);
  return last !== undefined && side.strides.get(last) === 1;
}

/** The program of an einsum whose operands and result have elements. */
export function einsumProgram(spec: string, a: Value, b: Value, scale: number): Program {
  const sides = parseEinsum(spec);
  const groups = groupsOf(spec, a.shape, b.shape);
  const shape = [...sides.out].map((letter) => groups.lengths.get(letter)!);
  const product: Product = {
    groups,
    a: sideOf(sides.a, a.shape),
    b: sideOf(sides.b, b.shape),
    out: sideOf(sides.out, shape),
    inputs: [{ name: "a", value: a }, { name: "b", value: b }],
    output: { dtype: "float32", shape },
    scaled: (x) => scale === 1 ? x : `${literal(scale)} * ${x}`,
    count: (group) => sizeOf([...group].map((letter) => groups.lengths.get(letter)!)),
  };
  if (groups.inner === "") return outerProgram(product);
  const rows = product.count(groups.rows);
  const columns = product.count(groups.columns);
  if (Math.min(rows, columns) > fewRows) return tiledProgram(product);
  return rows <= columns ? thinProgram(product) : thinProgram(exchanged(product));
}

interface Product {
  readonly groups: Groups;
  readonly a: Side;
  readonly b: Side;
  readonly out: Side;
  readonly inputs: Program["inputs"];
  readonly output: Program["output"];
  readonly scaled: (x: string) => string;
  readonly count: (group: string) => number;
}

/** The same product with the operands exchanged. */
function exchanged(product: Product): Product {
  const { groups, a, b, inputs } = product;
  return {
    ...product,
    groups: { ...groups, rows: groups.columns, columns: groups.rows },
    a: b,
    b: a,
    inputs: [{ name: "a", value: inputs[1]!.value }, { name: "b", value: inputs[0]!.value }],
  };
}

/** WGSL functions that find and read elements: `loadA(batch, row, k)`, `loadB(batch, column, k)`, `outAt(batch, row, column)`. */
function accessCode({ groups, a, b, out, inputs }: Product): string {
  const { batch, rows, columns, inner, lengths } = groups;
  const at = (parts: readonly (readonly [string, string])[], side: Side) =>
    parts.map(([index, group]) => `(${place(index, group, side, lengths)})`).join(" + ");
  const [first, second] = inputs.map(({ value }) => value.dtype) as [Value["dtype"], Value["dtype"]];
  const aAt = at([["batch", batch], ["row", rows], ["k", inner]], a);
  const bAt = at([["batch", batch], ["column", columns], ["k", inner]], b);
  return `${packedCode}
fn loadA(batch : i32, row : i32, k : i32) -> f32 { return ${elementAt("a", first, aAt)}; }
fn loadB(batch : i32, column : i32, k : i32) -> f32 { return ${elementAt("b", second, bAt)}; }
fn outAt(batch : i32, row : i32, column : i32) -> i32 {
  return ${at([["batch", batch], ["row", rows], ["column", columns]], out)};
}`;
}

/** A product without contracted letters: one multiplication per element. */
function outerProgram({ groups, a, b, out, inputs, output, scaled }: Product): Program {
  const dtypes = inputs.map(({ value }) => value.dtype);
  const whole = out.letters;
  const [x, y] = [a, b].map((side, i) =>
    elementAt(side === a ? "a" : "b", dtypes[i]!, place("index", whole, side, groups.lengths))
  );
  return elementProgram({
    name: "outer product",
    inputs,
    output,
    code: `fn element(index : i32) -> f32 { return ${scaled(`(${x} * ${y})`)}; }`,
  });
}

/** The most rows for which a tile would be mostly empty. */
const fewRows = 8;

/** Tiles of the result, and how far along the contracted axis a pair of tiles of the operands reaches. */
const [tile, depth] = [64, 16];

/** A product in tiles of 64 × 64, each by 256 threads with 4 × 4 results apiece. */
function tiledProgram(product: Product): Program {
  const { groups, a, b, inputs, output, scaled, count } = product;
  const [batches, rows, columns, inner] = [groups.batch, groups.rows, groups.columns, groups.inner].map(count) as [
    number,
    number,
    number,
    number,
  ];
  // Neighbouring threads read neighbouring elements where there are any.
  const spread = (side: Side) =>
    isContiguous(groups.inner, side, groups.lengths)
      ? `let k = id % ${depth}; let line = id / ${depth};`
      : `let line = id % ${tile}; let k = id / ${tile};`;
  const fill = (name: "A" | "B", side: Side, start: string, limit: number) =>
    `for (var e = 0; e < ${tile * depth / 256}; e++) {
      let id = i32(localIndex) + e * 256;
      ${spread(side)}
      var value = 0.0;
      if (${start} + line < ${limit} && k0 + k < ${inner}) { value = load${name}(batch, ${start} + line, k0 + k); }
      tile${name}[k * ${tile / 4} + line / 4][line % 4] = value;
    }`;
  return {
    name: "matmul",
    inputs,
    output,
    groups: [Math.ceil(columns / tile), Math.ceil(rows / tile), batches],
    groupSize: [256, 1, 1],
    code: `${accessCode(product)}
var<workgroup> tileA : array<vec4<f32>, ${tile * depth / 4}>;
var<workgroup> tileB : array<vec4<f32>, ${tile * depth / 4}>;
fn main() {
  let batch = i32(workgroupId.z);
  let row0 = i32(workgroupId.y) * ${tile};
  let column0 = i32(workgroupId.x) * ${tile};
  let x = i32(localIndex) % 16;
  let y = i32(localIndex) / 16;
  var sums : array<vec4<f32>, 4>;
  for (var k0 = 0; k0 < ${inner}; k0 += ${depth}) {
    ${fill("A", a, "row0", rows)}
    ${fill("B", b, "column0", columns)}
    workgroupBarrier();
    for (var k = 0; k < ${depth}; k++) {
      let left = tileA[k * ${tile / 4} + y];
      let right = tileB[k * ${tile / 4} + x];
      sums[0] += left.x * right;
      sums[1] += left.y * right;
      sums[2] += left.z * right;
      sums[3] += left.w * right;
    }
    workgroupBarrier();
  }
  for (var i = 0; i < 4; i++) {
    let row = row0 + y * 4 + i;
    for (var j = 0; j < 4; j++) {
      let column = column0 + x * 4 + j;
      if (row < ${rows} && column < ${columns}) { result[outAt(batch, row, column)] = ${scaled("sums[i][j]")}; }
    }
  }
}`,
  };
}

/** The threads of a group of a thin product, and the groups that keep a GPU busy. */
const [thinThreads, busyGroups] = [128, 64];

/** A product with few rows, where reading the second factor is what takes the time: each thread keeps a sum per row. */
function thinProgram(product: Product): Program {
  const { groups, b, inputs, output, scaled, count } = product;
  const [batches, rows, columns, inner] = [groups.batch, groups.rows, groups.columns, groups.inner].map(count) as [
    number,
    number,
    number,
    number,
  ];
  // Where elements along the contracted axis are neighbours, so are the threads of a column.
  const along = isContiguous(groups.inner, b, groups.lengths);
  // Short lines of columns are shared by more threads, so that enough groups are at work.
  const across = Math.min(along ? 4 : 32, 2 ** Math.max(0, Math.floor(Math.log2(columns / busyGroups))));
  const parts = thinThreads / across;
  const where = along
    ? `let part = i32(localIndex) % ${parts}; let lane = i32(localIndex) / ${parts};`
    : `let lane = i32(localIndex) % ${across}; let part = i32(localIndex) / ${across};`;
  const lines = Math.ceil(columns / across);
  const wide = Math.min(lines, 2 ** 15);
  const each = (body: (row: number) => string) => Array.from({ length: rows }, (_, row) => body(row)).join("\n");
  return {
    name: "thin matmul",
    inputs,
    output,
    groups: [wide, Math.ceil(lines / wide), batches],
    groupSize: [across * parts, 1, 1],
    code: `${accessCode(product)}
var<workgroup> sums : array<f32, ${across * parts * rows}>;
fn main() {
  let batch = i32(workgroupId.z);
  ${where}
  let column = (i32(workgroupId.y) * ${wide} + i32(workgroupId.x)) * ${across} + lane;
  ${each((row) => `var sum${row} = 0.0;`)}
  if (column < ${columns}) {
    for (var k = part; k < ${inner}; k += ${parts}) {
      let right = loadB(batch, column, k);
      ${each((row) => `sum${row} += loadA(batch, ${row}, k) * right;`)}
    }
  }
  ${each((row) => `sums[${row * across * parts} + lane * ${parts} + part] = sum${row};`)}
  workgroupBarrier();
  for (var half = ${parts / 2}; half > 0; half = half / 2) {
    if (part < half) {
      for (var row = 0; row < ${rows}; row++) {
        let own = row * ${across * parts} + lane * ${parts} + part;
        sums[own] += sums[own + half];
      }
    }
    workgroupBarrier();
  }
  if (part == 0 && column < ${columns}) {
    for (var row = 0; row < ${rows}; row++) {
      result[outAt(batch, row, column)] = ${scaled(`sums[row * ${across * parts} + lane * ${parts}]`)};
    }
  }
}`,
  };
}
