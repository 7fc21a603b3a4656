/**
 * The loop that the programs of attention share. A group of threads takes some neighboring lines, which are rows of queries or
 * keys, and goes through the columns, which are the other of the two, a tile at a time: products of lines and columns over the
 * head dimension become weights, and what the columns stand for is summed with these weights.
 */

import type { AttentionAttrs } from "@tessera/core";
import {
  accessCode,
  type AttentionOperands,
  lengthsOf,
  type Source,
  type Sources,
  uniformsOf,
} from "./attention_access.ts";
import type { Program } from "../program.ts";

/** The columns of a tile, and how far along a contracted axis factors are read at once. */
const [tileColumns, depth] = [64, 16];

/**
 * How many lines a group takes, and for how many neighboring columns each thread computes what it computes of four lines. Few
 * lines need small tiles, and wide heads more threads, each with fewer sums.
 */
function tileOf(lines: number, headDim: number): { readonly tileLines: number; readonly own: number } {
  if (lines <= 16) return { tileLines: 16, own: 4 };
  return { tileLines: 32, own: headDim > 128 ? 4 : 8 };
}

/** Pieces of WGSL, in which a thread has a vector of its four lines for each of its columns. */
export interface Tiling {
  /** Products over the head dimension of what is read by line and by column, as `name0`, `name1`, … */
  product(name: string, line: Source, column: Source): string;
  /** Something for each of a thread's columns; `column` is the place of the j-th in its tensor. */
  each(code: (j: number) => string): string;
  /** Whether a thread's lines and `column` see each other, as a vector. */
  readonly visible: string;
  /** Declares the sums, as zero. */
  readonly sums: string;
  /** Multiplies the sums by a vector. */
  scaleSums(by: string): string;
  /** Adds what the columns stand for to the sums, by the weights `name0`, `name1`, … */
  addUp(name: string, source: Source): string;
  /** Writes the sums where lines start. */
  readonly writeSums: string;
  /**
   * Goes through the tiles of columns that some line may see. `also` tells of a `column` whether it counts anyway; `unsettled`
   * of a thread's lines, after these tiles, whether all other columns count for one.
   */
  loop(code: string, more?: { readonly also?: string; readonly unsettled?: string }): string;
  /** The program, whose code may call `largestOf` and `sumOf` for a vector over all threads of the same lines. */
  program(name: string, shape: readonly number[], code: string, functions?: string): Program;
}

const range = (count: number) => [...Array(count).keys()];

/** The functions that give the ends of the interval of a row, and of a key. */
const ends = { row: ["rowFirst", "rowLast"], key: ["keyPlace", "keyPlace"] } as const;

/** What programs are written from whose lines are rows, or keys. */
export function tilingOf(
  lines: "row" | "key",
  operands: AttentionOperands,
  sources: Sources,
  attrs: AttentionAttrs,
): Tiling {
  const lengths = lengthsOf(operands);
  const { batch, keyHeads, keys, rows, headDim } = lengths;
  const columns = lines === "row" ? "key" : "row";
  // A query sees an interval of positions, and a key stands at one: they may see each other where these overlap.
  const [start, end] = ends[lines];
  const [otherStart, otherEnd] = ends[columns];
  const lineCount = lines === "row" ? rows : keys;
  const { tileLines, own } = tileOf(lineCount, headDim);
  const vectors = tileLines / 4;
  const threads = vectors * tileColumns / own;
  const constants = {
    headDim,
    tileColumns,
    tileLines,
    depth,
    threads,
    own,
    vectors,
    // Factors are stored across the order in which they are read; the odd vector spreads them over the banks of memory.
    lineStride: vectors + 1,
    columnStride: tileColumns / 4 + 1,
  };
  const chunks = range(Math.ceil(headDim / tileColumns));
  // Sums are variables of their own, so that they are kept in registers.
  const sums = chunks.map((chunk) => range(own).map((j) => `sum${chunk * own + j}`));
  const each = (code: (j: number) => string) => range(own).map(code).join("\n      ");
  // A thread writes whole vectors: those that write components of one overwrite each other's on some GPUs.
  const fill = (tile: "line" | "column", axis: "row" | "key", source: Source) => {
    const cell = (j: number) => `${source}At(min(${tile}0 + i + ${j}, uniforms.${axis}s - 1), d)`;
    return `for (var e = thread; e < tile${tile === "line" ? "Lines" : "Columns"} / 4 * uniforms.depth; e += threads) {
        let d = d0 + e % depth;
        let i = e / depth * 4;
        var x = vec4<f32>(0.0);
        if (d < headDim) { x = vec4<f32>(${range(4).map(cell).join(", ")}); }
        ${tile}Tile[e % depth * ${tile}Stride + e / depth] = x;
      }`;
  };
  /** Four neighbors along the head dimension; those after its end are zero. */
  const four = (source: Source, at: string) => {
    const cells = range(4).map((j) => `${source}At(${at}, d + ${j})`);
    const guarded = range(4).map((j) =>
      `select(0.0, ${source}At(${at}, min(d + ${j}, headDim - 1)), d + ${j} < headDim)`
    );
    return `vec4<f32>(${(headDim % 4 === 0 ? cells : guarded).join(", ")})`;
  };
  const multiply = (into: (j: number) => string, left: string) =>
    `workgroupBarrier();
      for (var k = 0; k < uniforms.depth; k++) {
        let left = ${left};
        ${range(own / 4).map((v) => `let right${v} = columnTile[k * columnStride + firstColumn / 4 + ${v}];`).join(" ")}
        ${each((j) => `${into(j)} += left * right${j >> 2}[${j % 4}];`)}
      }
      workgroupBarrier();`;
  const store = (name: (j: number) => string) =>
    each((j) => `weights[(firstColumn + ${j}) * vectors + vector] = ${name(j)};`);
  const reduction = (name: string, combine: (a: string, b: string) => string) =>
    `fn ${name}(x : vec4<f32>) -> vec4<f32> {
  lineTile[firstColumn / own * vectors + vector] = x;
  workgroupBarrier();
  var y = lineTile[vector];
  for (var i = 1; i < tileColumns / own; i++) { y = ${combine("y", "lineTile[i * vectors + vector]")}; }
  workgroupBarrier();
  return y;
}`;
  return {
    product: (name, line, column) =>
      `${each((j) => `var ${name}${j} = vec4<f32>(0.0);`)}
    for (var d0 = 0; d0 < headDim; d0 += depth) {
      ${fill("line", lines, line)}
      ${fill("column", columns, column)}
      ${multiply((j) => `${name}${j}`, "lineTile[k * lineStride + vector]")}
    }`,
    each: (code) => each((j) => `{ let column = column0 + firstColumn + ${j}; ${code(j)} }`),
    visible: lines === "row"
      ? "isVisible(firsts, lasts, vec4<i32>(keyPlace(min(column, uniforms.keys - 1))))"
      : "isVisible(vec4<i32>(rowFirst(min(column, uniforms.rows - 1))), vec4<i32>(rowLast(min(column, uniforms.rows - 1))), firsts)",
    sums: sums.flat().map((sum) => `var ${sum} = vec4<f32>(0.0);`).join(" "),
    scaleSums: (by) => sums.flat().map((sum) => `${sum} *= ${by};`).join(" "),
    addUp: (name, source) =>
      [
        store((j) => `${name}${j}`),
        ...sums.map((sum, chunk) =>
          `for (var k0 = 0; k0 < tileColumns; k0 += depth) {
      for (var e = thread; e < tileColumns / 4 * uniforms.depth; e += threads) {
        let k = e / (tileColumns / 4);
        let i = e % (tileColumns / 4);
        let d = ${chunk} * tileColumns + i * 4;
        let column = min(column0 + k0 + k, uniforms.${columns}s - 1);
        var x = vec4<f32>(0.0);
        if (d < headDim) { x = ${four(source, "column")}; }
        columnTile[k * columnStride + i] = x;
      }
      ${multiply((j) => sum[j]!, "weights[(k0 + k) * vectors + vector]")}
    }`
        ),
      ].join("\n    "),
    writeSums: sums.map((sum, chunk) =>
      `${store((j) => sum[j]!)}
  workgroupBarrier();
  for (var e = thread; e < tileColumns * tileLines; e += threads) {
    let i = e / tileColumns;
    let d = ${chunk} * tileColumns + e % tileColumns;
    if (d < headDim && line0 + i < uniforms.${lines}s) {
      result[${lines}Start(line0 + i) + d] = weights[e % tileColumns * vectors + i / 4][i % 4];
    }
  }
  workgroupBarrier();`
    ).join("\n  "),
    loop: (code, { also, unsettled } = {}) =>
      `let tiles = (uniforms.${columns}s + tileColumns - 1) / tileColumns;
  if (thread == 0) { atomicStore(&first, tiles); atomicStore(&last, 0); }
  workgroupBarrier();
  {
    var least = ${start}(line0);
    var most = ${end}(line0);
    for (var i = 1; i < min(tileLines, uniforms.${lines}s - line0); i++) {
      least = min(least, ${start}(line0 + i));
      most = max(most, ${end}(line0 + i));
    }
    for (var column = thread; column < uniforms.${columns}s; column += threads) {
      if (${otherStart}(column) <= most && least <= ${otherEnd}(column)${also === undefined ? "" : ` || ${also}`}) {
        atomicMin(&first, column / tileColumns);
        atomicMax(&last, column / tileColumns + 1);
      }
    }
  }
  var bounds = agreedBounds();
  ${unsettled === undefined ? "" : "bounds.y = max(bounds.y, bounds.x + 1);"}
  for (var tile = bounds.x; tile < bounds.y; tile++) {
    let column0 = tile % tiles * tileColumns;
    ${code}
    ${
        unsettled === undefined ? "" : `if (tile + 1 == bounds.y) {
      if (any(${unsettled})) { atomicStore(&last, bounds.x + tiles); }
      bounds.y = max(bounds.y, agreedBounds().y);
    }`
      }
  }`,
    program: (name, shape, code, functions = "") => ({
      name,
      inputs: [
        ...Object.entries(sources).map(([source, value]) => ({
          name: source === "stats" ? source : `${source}Data`,
          value,
        })),
        { name: "positions", value: operands.positions },
      ],
      output: { dtype: "float32", shape },
      groups: [Math.ceil(lineCount / tileLines), keyHeads, batch],
      groupSize: [threads, 1, 1],
      uniforms: uniformsOf(lengths, depth),
      code: `${accessCode(lengths, sources, attrs)}
${functions}
${Object.entries(constants).map(([name, value]) => `const ${name} = ${value};`).join("\n")}
var<workgroup> lineTile : array<vec4<f32>, ${Math.max(depth * (vectors + 1), threads)}>;
var<workgroup> columnTile : array<vec4<f32>, depth * columnStride>;
var<workgroup> weights : array<vec4<f32>, tileColumns * vectors>;
var<workgroup> first : atomic<i32>;
var<workgroup> last : atomic<i32>;
var<workgroup> agreed : vec2<i32>;
var<private> line0 : i32;
var<private> thread : i32;
var<private> vector : i32;
var<private> firstColumn : i32;
${reduction("largestOf", (a, b) => `max(${a}, ${b})`)}
${reduction("sumOf", (a, b) => `${a} + ${b}`)}
// The first and last tiles that threads found, which the language then knows to be the same for all.
fn agreedBounds() -> vec2<i32> {
  workgroupBarrier();
  if (thread == 0) { agreed = vec2<i32>(atomicLoad(&first), atomicLoad(&last)); }
  return workgroupUniformLoad(&agreed);
}
fn main() {
  enter(i32(workgroupId.z), i32(workgroupId.y));
  line0 = i32(workgroupId.x) * tileLines;
  thread = i32(localIndex);
  vector = thread / (tileColumns / own);
  firstColumn = thread % (tileColumns / own) * own;
  var firsts : vec4<i32>;
  var lasts : vec4<i32>;
  for (var r = 0; r < 4; r++) {
    let line = min(line0 + vector * 4 + r, uniforms.${lines}s - 1);
    firsts[r] = ${start}(line);
    lasts[r] = ${end}(line);
  }
  ${code}
}`,
    }),
  };
}
