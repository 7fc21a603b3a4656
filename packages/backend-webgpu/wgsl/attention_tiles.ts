/**
 * What the programs of attention share: a tile of scores, who computes which part of it, and how rows and keys are read.
 *
 * The query heads that share a key head are rows of one block, so keys and values are read once for all of them: row
 * `group · time + t` is query `t` of the group's head.
 */

import type { AttentionAttrs } from "@tessera/core";
import type { Value } from "../engine.ts";
import { elementAt } from "./element.ts";
import { mathCode } from "./math.ts";
import { packedCode } from "./packed.ts";
import { literal, type ProgramInput, type Uniform } from "./program.ts";

/** Rows and columns of a tile of scores, how much of the head dimension is read at once, and the threads of a group. */
export const [tileRows, tileColumns, depth, threads] = [16, 32, 32, 64];

/** A thread computes four neighbouring scores in each of this many rows of a tile, `rowStep` apart. */
export const ownRows = tileRows * tileColumns / 4 / threads;
/** How far apart the rows are. */
export const rowStep = tileRows / ownRows;

/** How many vectors of four rows, and of four columns, a tile has. */
export const [rowVectors, columnVectors] = [tileRows / 4, tileColumns / 4];

/** Where in the shared tile of weights that of a row and a column is: rows are neighbours, so that sums read four at once. */
export const weightAt = (row: string, column: string) =>
  `weights[(${column}) * ${rowVectors} + (${row}) / 4][(${row}) % 4]`;

/** The operands that every program of attention reads. */
export interface AttentionOperands {
  /** [batch, time, heads, headDim]. */
  readonly query: Value;
  /** [batch, keys, keyHeads, headDim]. */
  readonly key: Value;
  /** Like the key. */
  readonly value: Value;
  /** The positions of queries [batch, time] and of keys [batch, keys], and the prefixes [batch], one after the other, flat. */
  readonly positions: Value;
}

/** The lengths of the axes. */
export interface Lengths {
  /** Texts. */
  readonly batch: number;
  /** Queries of a text. */
  readonly time: number;
  /** Heads of queries. */
  readonly heads: number;
  /** Keys of a text. */
  readonly keys: number;
  /** Heads of keys, each shared by equally many of the queries. */
  readonly keyHeads: number;
  /** Elements of a head. */
  readonly headDim: number;
  /** Query rows that share a key head. */
  readonly rows: number;
  /** How many elements of a row a thread sums up. */
  readonly columns: number;
}

/** The lengths of the axes of attention's operands. */
export function lengthsOf({ query, key }: AttentionOperands): Lengths {
  const [batch, time, heads, headDim] = query.shape as [number, number, number, number];
  const [, keys, keyHeads] = key.shape as [number, number, number];
  return {
    batch,
    time,
    heads,
    keys,
    keyHeads,
    headDim,
    rows: heads / keyHeads * time,
    columns: Math.ceil(headDim / threads),
  };
}

/** A score so low that its exponential is zero beside any other, as in the definition, and one lower than all. */
export const [hidden, absent] = [literal(-1e30), literal(-3e38)];

/** WGSL that reads tensors by row and key, and turns products into scores. */
export function accessCode(operands: AttentionOperands, attrs: AttentionAttrs, rows: readonly ProgramInput[]): string {
  const { heads, keyHeads, headDim } = lengthsOf(operands);
  const { softCap, scale } = attrs;
  const rowAt = `(((batch * uniforms.time + row % uniforms.time) * ${heads} + keyHead * ${
    heads / keyHeads
  } + row / uniforms.time) * ${headDim} + d)`;
  const keyAt = `(((batch * uniforms.keys + key) * ${keyHeads} + keyHead) * ${headDim} + d)`;
  const readRow = ({ name, value }: ProgramInput) =>
    `fn ${name}Row(row : i32, d : i32) -> f32 { return ${elementAt(name, value.dtype, rowAt)}; }`;
  const readKey = (name: "key" | "value") =>
    `fn ${name}Row(key : i32, d : i32) -> f32 { return ${elementAt(`${name}s`, operands[name].dtype, keyAt)}; }`;
  const capped = softCap === null ? "raw" : `${literal(softCap)} * safeTanh(raw * ${literal(1 / softCap)})`;
  return `${packedCode}${mathCode}
var<private> batch : i32;
var<private> keyHead : i32;
${rows.map(readRow).join("\n")}
${readKey("key")}
${readKey("value")}
fn isVisible(row : i32, key : i32) -> bool {
  let q = positions[batch * uniforms.time + row % uniforms.time];
  let k = positions[uniforms.batches * uniforms.time + batch * uniforms.keys + key];
  let end = positions[uniforms.batches * (uniforms.time + uniforms.keys) + batch];
  return k >= 0 && ((k <= q && q - k < uniforms.window) || (k < end && q < end));
}
// The score of a query and a key whose product is given, before the mask.
fn scoreOf(product : f32) -> f32 {
  let raw = product * ${literal(scale)};
  return ${capped};
}
fn masked(score : f32, row : i32, key : i32) -> f32 {
  return select(min(score, ${hidden}), score, isVisible(row, key));
}`;
}

/** The inputs that all programs share. */
export function sharedInputs(operands: AttentionOperands): ProgramInput[] {
  return [
    { name: "query", value: operands.query },
    { name: "keys", value: operands.key },
    { name: "values", value: operands.value },
    { name: "positions", value: operands.positions },
  ];
}

/**
 * Lengths that differ between batches, and the window, so that one compiled program serves them all. Loops that are as long as a
 * tile take their length from here too, so that compilers do not write them out.
 */
export function uniformsOf(operands: AttentionOperands, { window }: AttentionAttrs): Uniform[] {
  const { batch, time, keys, rows } = lengthsOf(operands);
  const numbers = { depth, columns: tileColumns, batches: batch, time, keys, rows, window: window ?? 2 ** 30 };
  return Object.entries(numbers).map(([name, value]) => ({ name, type: "int32", value }));
}

/** WGSL that computes a tile of products over the head dimension: `into` gets four neighbours of each row of the thread's. */
export function tileProduct(into: string, left: string, right: string, headDim: number): string {
  return `for (var n = 0; n < ${ownRows}; n++) { ${into}[n] = vec4<f32>(0.0); }
  for (var d0 = 0; d0 < ${headDim}; d0 += ${depth}) {
    for (var e = i32(localIndex); e < ${tileRows} * uniforms.depth; e += ${threads}) {
      let line = e / ${depth};
      let d = d0 + e % ${depth};
      var x = 0.0;
      if (d < ${headDim}) { x = ${left}; }
      leftTile[e] = x;
    }
    for (var e = i32(localIndex); e < ${tileColumns} * uniforms.depth; e += ${threads}) {
      let line = e / ${depth};
      let d = d0 + e % ${depth};
      var x = 0.0;
      if (d < ${headDim}) { x = ${right}; }
      rightTile[(e % ${depth}) * ${columnVectors} + line / 4][line % 4] = x;
    }
    workgroupBarrier();
    for (var k = 0; k < uniforms.depth; k++) {
      let right = rightTile[k * ${columnVectors} + tileColumn / 4];
      for (var n = 0; n < ${ownRows}; n++) { ${into}[n] += leftTile[(tileRow + n * ${rowStep}) * ${depth} + k] * right; }
    }
    workgroupBarrier();
  }`;
}

/** The variables that the threads of a group share: tiles of both factors of a product, and of weights. */
export const tileVariables = `var<workgroup> leftTile : array<f32, ${tileRows * depth}>;
var<workgroup> rightTile : array<vec4<f32>, ${tileColumns * depth / 4}>;
var<workgroup> weights : array<vec4<f32>, ${tileRows * tileColumns / 4}>;`;

/** WGSL by which a thread finds its scores in a tile. */
export const ownPlace = `let tileRow = i32(localIndex) / ${columnVectors};
  let tileColumn = i32(localIndex) % ${columnVectors} * 4;`;

/** WGSL that does something for each of a thread's scores: row `line` and column `place` of the tile, the n-th row's j-th. */
export function eachScore(body: string): string {
  return `for (var n = 0; n < ${ownRows}; n++) {
      let line = tileRow + n * ${rowStep};
      for (var j = 0; j < 4; j++) {
        let place = tileColumn + j;
        ${body}
      }
    }`;
}

/** A result of queries: [batch, time, heads, headDim]. */
export const outputAt = ({ heads, keyHeads, headDim }: Lengths) =>
  `((batch * uniforms.time + row % uniforms.time) * ${heads} + keyHead * ${
    heads / keyHeads
  } + row / uniforms.time) * ${headDim} + d`;

/** WGSL that adds what a tile's columns stand for, by their weights, to the sums that a thread keeps: element `d` of each row. */
export function addWeighted({ headDim, columns }: Lengths, source: (column: string) => string): string {
  return `for (var c = 0; c < ${columns}; c++) {
      let d = i32(localIndex) + c * ${threads};
      if (d < ${headDim}) {
        for (var i = 0; i < uniforms.columns; i++) {
          let x = ${source("i")};
          for (var r = 0; r < ${rowVectors}; r++) {
            sums[c * ${rowVectors} + r] += weights[i * ${rowVectors} + r] * x;
          }
        }
      }
    }`;
}
