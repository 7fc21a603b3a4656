/**
 * The einsum of two tensors as one matrix product that moves nothing first.
 *
 * The letters of a spec fall into four groups (batch, rows, columns, contracted), and a group of axes is counted by one
 * number. Operands and result are read and written through their own strides, so an order of axes costs a few integer
 * operations at most, and float16 and bfloat16 factors are converted where they are read.
 */

import { parseEinsum, sizeOf } from "@tessera/core";
import type { Value } from "../../engine/engine.ts";
import { elementAt, elementProgram } from "../element.ts";
import { packedCode } from "../packed.ts";
import { stridedIndex, stridesOf } from "../index_map.ts";
import { type Factor, type FactorSide, groupsOf, type Product, type Share, type Side, sideOf } from "./product.ts";
import { gridOf, literal, type Program } from "../program.ts";

/** WGSL for where in a side the element stands that a group's number chooses. */
function place(index: string, group: string, side: Side, lengths: ReadonlyMap<string, number>): string {
  const shape = [...group].map((letter) => lengths.get(letter)!);
  return stridedIndex(index, shape, [...group].map((letter) => side.strides.get(letter) ?? 0));
}

/** Whether counting a group walks neighbors in a side. */
function isContiguous(group: string, side: Side, lengths: ReadonlyMap<string, number>): boolean {
  const last = [...group].findLast((letter) => lengths.get(letter) !== 1);
  return last !== undefined && side.strides.get(last) === 1;
}

/** The program of an einsum whose operands and result have elements; an operand in slices is given by one of them. */
export function einsumProgram(spec: string, a: Value, b: Value, scale: number, share?: Share): Program {
  return productProgram(einsumProduct(spec, a, b, scale, share), share);
}

/** The product that an einsum is. */
export function einsumProduct(spec: string, a: Value, b: Value, scale: number, share?: Share): Product {
  return productOf(spec, plainFactor("a", a), plainFactor("b", b), scale, share);
}

/** The program of an einsum of a tensor and a quantized weight, whose codes may be a slice. */
export function quantizedEinsumProgram(spec: string, x: Value, weight: QuantizedWeight, share?: Share): Program {
  return productProgram(
    productOf(spec, plainFactor("a", x), quantizedFactor(weight, share?.start ?? 0), 1, share),
    share,
  );
}

function plainFactor(name: string, value: Value): Factor {
  return {
    shape: value.shape,
    inputs: [{ name, value }],
    element: (at) => elementAt(name, value.dtype, at),
  };
}

/** Codes of 4 or 8 bits and scales, as `quantizedEinsum` of core has them. */
export interface QuantizedWeight {
  /** The codes, uint8; two to a byte along the last axis in 4 bits. */
  readonly codes: Value;
  /** The scales, one per element, per block or for all along each axis. */
  readonly scales: Value;
  /** How many bits a code has. */
  readonly bits: 4 | 8;
  /** How many rows the whole weight has, of which the codes may be some. */
  readonly rows: number;
}

function quantizedFactor({ codes, scales, bits, rows }: QuantizedWeight, start: number): Factor {
  const shape = bits === 8 ? codes.shape : codes.shape.with(-1, 2 * codes.shape.at(-1)!);
  const [strides, perWord] = [stridesOf(scales.shape), 32 / bits];
  return {
    shape,
    inputs: [{ name: "codes", value: codes }, { name: "scales", value: scales }],
    element: (at, places) => {
      const scaleAt = places.flatMap((place, axis) => {
        const per = (axis === 0 ? rows : shape[axis]!) / scales.shape[axis]!;
        const whole = axis === 0 ? `${place} + ${start}` : place;
        return scales.shape[axis] === 1 ? [] : [`(${whole}) / ${per} * ${strides[axis]}`];
      });
      const scale = elementAt("scales", scales.dtype, scaleAt.length === 0 ? "0" : scaleAt.join(" + "));
      // Codes stand in a word in their order, the first one lowest, be they bytes or halves of bytes.
      const code = `(bitcast<u32>(codes[(${at}) / ${perWord}]) >> (u32((${at}) % ${perWord}) * ${bits}u)) & ${
        2 ** bits - 1
      }u`;
      return `(f32(${code}) - ${2 ** (bits - 1)}.0) * ${scale}`;
    },
  };
}

function productOf(spec: string, a: Factor, b: Factor, scale: number, share: Share | undefined): Product {
  const sides = parseEinsum(spec);
  const groups = groupsOf(spec, a.shape, b.shape, share);
  const shape = share?.into.shape ?? [...sides.out].map((letter) => groups.lengths.get(letter)!);
  const scaled = (x: string) => scale === 1 ? x : `${literal(scale)} * ${x}`;
  return {
    groups,
    a: { ...sideOf(sides.a, a.shape, share), element: a.element },
    b: { ...sideOf(sides.b, b.shape, share), element: b.element },
    out: sideOf(sides.out, shape, share),
    inputs: [...a.inputs, ...b.inputs],
    output: { dtype: "float32", shape },
    ...(share !== undefined && { into: share.into }),
    // The partial sums are added, one program after the other.
    write: (at, x) => {
      const adds = share !== undefined && !sides.out.includes(share.letter);
      return `result[${at}] = ${adds ? `result[${at}] + ` : ""}${scaled(x)}`;
    },
    scaled,
    count: (group) => sizeOf([...group].map((letter) => groups.lengths.get(letter)!)),
  };
}

/** The program of a product. */
function productProgram(product: Product, share: Share | undefined): Program {
  const { groups } = product;
  if (groups.inner === "" && share === undefined) return outerProgram(product);
  const rows = product.count(groups.rows);
  const columns = product.count(groups.columns);
  if (Math.min(rows, columns) > fewRows) return tiledProgram(product);
  return rows <= columns ? thinProgram(product) : thinProgram(exchanged(product));
}

/** The same product with the operands swapped. */
function exchanged(product: Product): Product {
  const { groups, a, b } = product;
  return { ...product, groups: { ...groups, rows: groups.columns, columns: groups.rows }, a: b, b: a };
}

/** WGSL functions that find and read elements: `loadA(batch, row, k)`, `loadB(batch, column, k)`, `outAt(batch, row, column)`. */
function accessCode({ groups, a, b, out }: Product): string {
  const { batch, rows, columns, inner, lengths } = groups;
  const places = (names: readonly (readonly [string, string])[], side: Side) =>
    [...side.letters].map((letter) => {
      const [index, group] = names.find(([, letters]) => letters.includes(letter))!;
      const shape = [...group].map((other) => lengths.get(other)!);
      const place = group.indexOf(letter);
      const after = sizeOf(shape.slice(place + 1));
      return `(${index} / ${after}) % ${shape[place]}`;
    });
  const at = (parts: readonly (readonly [string, string])[], side: Side) =>
    [...parts.map(([index, group]) => `(${place(index, group, side, lengths)})`), `${side.offset}`].join(" + ");
  const factor = (side: FactorSide, line: string, lineGroup: string) => {
    const parts = [["batch", batch], [line, lineGroup], ["k", inner]] as const;
    return side.element(at(parts, side), places(parts, side));
  };
  return `${packedCode}
fn loadA(batch : i32, row : i32, k : i32) -> f32 { return ${factor(a, "row", rows)}; }
fn loadB(batch : i32, column : i32, k : i32) -> f32 { return ${factor(b, "column", columns)}; }
fn outAt(batch : i32, row : i32, column : i32) -> i32 {
  return ${at([["batch", batch], ["row", rows], ["column", columns]], out)};
}`;
}

/** A product without contracted letters: one multiplication per element. */
function outerProgram({ groups, a, b, out, inputs, output, scaled }: Product): Program {
  const [x, y] = [a, b].map((side) => {
    const places = [...side.letters].map((letter) => {
      const at = out.letters.indexOf(letter);
      return `(index / ${sizeOf(output.shape.slice(at + 1))}) % ${output.shape[at]}`;
    });
    return side.element(place("index", out.letters, side, groups.lengths), places);
  });
  return elementProgram({
    name: "outer product",
    inputs,
    output,
    code: `fn element(index : i32) -> f32 { return ${scaled(`(${x} * ${y})`)}; }`,
  });
}

/** The most rows for which a tile would be mostly empty. */
const fewRows = 8;

/** How far along the contracted axis a pair of tiles of the operands reaches, and the threads along a side of a tile. */
const [depth, side] = [16, 8];

/** With fewer large tiles than this, small ones keep more of a GPU busy. */
const fewTiles = 16;

const range = (count: number) => [...Array(count).keys()];

/** A product in tiles: a group of 8 × 8 threads computes 8 × 8 results apiece, or 4 × 4 where there would be few groups. */
function tiledProgram(product: Product): Program {
  const { groups, a, b, write, count } = product;
  const [batches, rows, columns, inner] = lengthsOf(product);
  const large = side * 8;
  const few = Math.ceil(rows / large) * Math.ceil(columns / large) * count(groups.batch) < fewTiles;
  const per = few ? 4 : 8;
  const tile = side * per;
  const vectors = per / 4;
  const [across, down] = [Math.ceil(columns / tile), Math.ceil(rows / tile)];
  const { groups: grid, group } = gridOf(across * down * batches);
  const fill = (name: "A" | "B", operand: Side, start: string) => {
    // Neighboring threads read neighboring elements where there are any.
    const along = isContiguous(groups.inner, operand, groups.lengths);
    const cell = (j: number) => `cell${name}(batch, ${start} + line${j === 0 ? "" : ` + ${j}`}, k0 + k)`;
    // A thread writes whole vectors: those that write components of one overwrite each other's on some GPUs.
    return `for (var id = i32(localIndex); id < ${tile * depth / 4}; id += ${side * side}) {
      let k = ${along ? `id % ${depth}` : `id / ${tile / 4}`};
      let line = ${along ? `id / ${depth}` : `id % ${tile / 4}`} * 4;
      tile${name}[k * ${tile / 4} + line / 4] = vec4<f32>(${range(4).map(cell).join(", ")});
    }`;
  };
  // Sums are variables of their own, so that they are kept in registers.
  const cells = range(per).flatMap((i) => range(vectors).map((v) => ({ i, v, sum: `sum${i}_${v}` })));
  return {
    ...targetOf("matmul", product),
    groups: grid,
    groupSize: [side * side, 1, 1],
    uniforms: [{ name: "firstGroup", type: "int32", value: 0 }],
    work: batches * rows * columns * inner,
    code: `${accessCode(product)}
fn cellA(batch : i32, row : i32, k : i32) -> f32 {
  if (row < ${rows} && k < ${inner}) { return loadA(batch, row, k); }
  return 0.0;
}
fn cellB(batch : i32, column : i32, k : i32) -> f32 {
  if (column < ${columns} && k < ${inner}) { return loadB(batch, column, k); }
  return 0.0;
}
var<workgroup> tileA : array<vec4<f32>, ${tile * depth / 4}>;
var<workgroup> tileB : array<vec4<f32>, ${tile * depth / 4}>;
fn write(batch : i32, row : i32, column : i32, sum : vec4<f32>) {
  for (var j = 0; j < 4; j++) {
    if (row < ${rows} && column + j < ${columns}) { ${write("outAt(batch, row, column + j)", "sum[j]")}; }
  }
}
fn main() {
  let group = uniforms.firstGroup + ${group};
  let batch = group / ${across * down};
  // A group beyond the last has no lines.
  let row0 = select(${rows}, group / ${across} % ${down} * ${tile}, batch < ${batches});
  let column0 = select(${columns}, group % ${across} * ${tile}, batch < ${batches});
  let x = i32(localIndex) % ${side};
  let y = i32(localIndex) / ${side};
  ${cells.map(({ sum }) => `var ${sum} = vec4<f32>(0.0);`).join("\n  ")}
  for (var k0 = 0; k0 < ${inner}; k0 += ${depth}) {
    ${fill("A", a, "row0")}
    ${fill("B", b, "column0")}
    workgroupBarrier();
    for (var k = 0; k < ${depth}; k++) {
      ${range(vectors).map((v) => `let left${v} = tileA[k * ${tile / 4} + y * ${vectors} + ${v}];`).join("\n      ")}
      ${range(vectors).map((v) => `let right${v} = tileB[k * ${tile / 4} + x * ${vectors} + ${v}];`).join("\n      ")}
      ${cells.map(({ i, v, sum }) => `${sum} += left${i >> 2}[${i % 4}] * right${v};`).join("\n      ")}
    }
    workgroupBarrier();
  }
  ${
      cells.map(({ i, v, sum }) => `write(batch, row0 + y * ${per} + ${i}, column0 + x * ${per} + ${4 * v}, ${sum});`)
        .join("\n  ")
    }
}`,
  };
}

/** What a program reads and writes. */
function targetOf(name: string, { inputs, output, into }: Product): Pick<Program, "name" | "inputs" | "output"> {
  return { name, inputs, output, ...(into !== undefined && { into, inPlace: true }) };
}

/** How many numbers each group of letters counts: batch, rows, columns, inner. */
function lengthsOf({ groups, count }: Product): [batches: number, rows: number, columns: number, inner: number] {
  return [count(groups.batch), count(groups.rows), count(groups.columns), count(groups.inner)];
}

/** The threads of a group of a thin product, and the groups that keep a GPU busy. */
const [thinThreads, busyGroups] = [128, 64];

/** A product with few rows, where reading the second factor is what takes the time: each thread keeps a sum per row. */
function thinProgram(product: Product): Program {
  const { groups, b, write } = product;
  const [batches, rows, columns, inner] = lengthsOf(product);
  // Where elements along the contracted axis are neighbors, so are the threads of a column.
  const along = isContiguous(groups.inner, b, groups.lengths);
  // Short lines of columns are shared by more threads, so that enough groups are at work.
  const across = Math.min(along ? 4 : 32, 2 ** Math.max(0, Math.floor(Math.log2(columns / busyGroups))));
  const parts = thinThreads / across;
  const where = along
    ? `let part = i32(localIndex) % ${parts}; let lane = i32(localIndex) / ${parts};`
    : `let lane = i32(localIndex) % ${across}; let part = i32(localIndex) / ${across};`;
  const lines = Math.ceil(columns / across);
  const { groups: grid, group } = gridOf(lines * batches);
  const each = (body: (row: number) => string) => Array.from({ length: rows }, (_, row) => body(row)).join("\n");
  return {
    ...targetOf("thin matmul", product),
    groups: grid,
    groupSize: [across * parts, 1, 1],
    code: `${accessCode(product)}
var<workgroup> sums : array<f32, ${across * parts * rows}>;
fn main() {
  let group = ${group};
  let batch = group / ${lines};
  ${where}
  // A group beyond the last has no columns.
  let column = select(${columns}, group % ${lines} * ${across} + lane, batch < ${batches});
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
      ${write("outAt(batch, row, column)", `sums[row * ${across * parts} + lane * ${parts}]`)};
    }
  }
}`,
  };
}
