/**
 * Attention without the matrix of scores in memory: tiles of scores are computed, used and forgotten, with a running maximum and
 * sum per query (Dao et al., arXiv 2205.14135). The backward pass computes them again.
 *
 * The query heads that share a key head are rows of one block, so keys and values are read once for all of them: row
 * `group · time + t` is query `t` of the group's head.
 */

import type { AttentionAttrs } from "@tessera/core";
import type { Value } from "../engine.ts";
import { elementAt } from "./element.ts";
import { mathCode } from "./math.ts";
import { packedCode } from "./packed.ts";
import { literal, type Program, type ProgramInput, type Uniform } from "./program.ts";

/** Rows and columns of a tile of scores, how much of the head dimension is read at once, and the threads of a group. */
const [tileRows, tileColumns, depth, threads] = [16, 32, 32, 64];

/** A thread computes four neighbouring scores in each of this many rows of a tile, `rowStep` apart. */
const ownRows = tileRows * tileColumns / 4 / threads;
const rowStep = tileRows / ownRows;

/** How many vectors of four rows, and of four columns, a tile has. */
const [rowVectors, columnVectors] = [tileRows / 4, tileColumns / 4];

/** Where in the shared tile of weights that of a row and a column is: rows are neighbours, so that sums read four at once. */
const weightAt = (row: string, column: string) => `weights[(${column}) * ${rowVectors} + (${row}) / 4][(${row}) % 4]`;

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
interface Lengths {
  readonly batch: number;
  readonly time: number;
  readonly heads: number;
  readonly keys: number;
  readonly keyHeads: number;
  readonly headDim: number;
  /** Query rows that share a key head. */
  readonly rows: number;
  /** How many elements of a row a thread sums up. */
  readonly columns: number;
}

function lengthsOf({ query, key }: AttentionOperands): Lengths {
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
const [hidden, absent] = [literal(-1e30), literal(-3e38)];

/** WGSL that reads tensors by row and key, and turns products into scores. */
function accessCode(operands: AttentionOperands, attrs: AttentionAttrs, rows: readonly ProgramInput[]): string {
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
function sharedInputs(operands: AttentionOperands): ProgramInput[] {
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
function uniformsOf(operands: AttentionOperands, { window }: AttentionAttrs): Uniform[] {
  const { batch, time, keys, rows } = lengthsOf(operands);
  const numbers = { depth, columns: tileColumns, batches: batch, time, keys, rows, window: window ?? 2 ** 30 };
  return Object.entries(numbers).map(([name, value]) => ({ name, type: "int32", value }));
}

/** WGSL that computes a tile of products over the head dimension: `into` gets four neighbours of each row of the thread's. */
function tileProduct(into: string, left: string, right: string, headDim: number): string {
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

const tileVariables = `var<workgroup> leftTile : array<f32, ${tileRows * depth}>;
var<workgroup> rightTile : array<vec4<f32>, ${tileColumns * depth / 4}>;
var<workgroup> weights : array<vec4<f32>, ${tileRows * tileColumns / 4}>;`;

/** WGSL by which a thread finds its scores in a tile. */
const ownPlace = `let tileRow = i32(localIndex) / ${columnVectors};
  let tileColumn = i32(localIndex) % ${columnVectors} * 4;`;

/** WGSL that does something for each of a thread's scores: row `line` and column `place` of the tile, the n-th row's j-th. */
function eachScore(body: string): string {
  return `for (var n = 0; n < ${ownRows}; n++) {
      let line = tileRow + n * ${rowStep};
      for (var j = 0; j < 4; j++) {
        let place = tileColumn + j;
        ${body}
      }
    }`;
}

/** A result of queries: [batch, time, heads, headDim]. */
const outputAt = ({ heads, keyHeads, headDim }: Lengths) =>
  `((batch * uniforms.time + row % uniforms.time) * ${heads} + keyHead * ${
    heads / keyHeads
  } + row / uniforms.time) * ${headDim} + d`;

/** WGSL that adds what a tile's columns stand for, by their weights, to the sums that a thread keeps: element `d` of each row. */
function addWeighted({ headDim, columns }: Lengths, source: (column: string) => string): string {
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

/** The program of attention. */
export function attentionProgram(operands: AttentionOperands, attrs: AttentionAttrs): Program {
  const lengths = lengthsOf(operands);
  const { batch, keyHeads, headDim, rows, columns } = lengths;
  const inputs = sharedInputs(operands);
  return {
    name: "attention",
    inputs,
    output: { dtype: "float32", shape: operands.query.shape },
    groups: [Math.ceil(rows / tileRows), keyHeads, batch],
    groupSize: [threads, 1, 1],
    uniforms: uniformsOf(operands, attrs),
    code: `${accessCode(operands, attrs, [inputs[0]!])}
${tileVariables}
var<workgroup> largest : array<f32, ${tileRows}>;
var<workgroup> decay : array<f32, ${tileRows}>;
var<workgroup> total : array<f32, ${tileRows}>;
fn main() {
  batch = i32(workgroupId.z);
  keyHead = i32(workgroupId.y);
  let row0 = i32(workgroupId.x) * ${tileRows};
  ${ownPlace}
  let own = i32(localIndex);
  var sums : array<vec4<f32>, ${tileRows * columns / 4}>;
  var scores : array<vec4<f32>, ${ownRows}>;
  if (own < ${tileRows}) { largest[own] = ${absent}; total[own] = 0.0; }
  workgroupBarrier();
  for (var key0 = 0; key0 < uniforms.keys; key0 += ${tileColumns}) {
    ${
      tileProduct(
        "scores",
        `queryRow(min(row0 + line, uniforms.rows - 1), d)`,
        `keyRow(min(key0 + line, uniforms.keys - 1), d)`,
        headDim,
      )
    }
    ${
      eachScore(`let key = key0 + place;
        var score = ${absent};
        if (key < uniforms.keys) { score = masked(scoreOf(scores[n][j]), min(row0 + line, uniforms.rows - 1), key); }
        ${weightAt("line", "place")} = score;`)
    }
    workgroupBarrier();
    if (own < ${tileRows}) {
      var most = largest[own];
      for (var j = 0; j < uniforms.columns; j++) { most = max(most, ${weightAt("own", "j")}); }
      decay[own] = exp(largest[own] - most);
      largest[own] = most;
    }
    workgroupBarrier();
    ${eachScore(`${weightAt("line", "place")} = exp(${weightAt("line", "place")} - largest[line]);`)}
    workgroupBarrier();
    if (own < ${tileRows}) {
      var sum = total[own] * decay[own];
      for (var j = 0; j < uniforms.columns; j++) { sum += ${weightAt("own", "j")}; }
      total[own] = sum;
    }
    for (var i = 0; i < ${tileRows * columns / 4}; i++) {
      let r = i % ${rowVectors} * 4;
      sums[i] *= vec4<f32>(decay[r], decay[r + 1], decay[r + 2], decay[r + 3]);
    }
    ${addWeighted(lengths, (i) => `valueRow(min(key0 + ${i}, uniforms.keys - 1), d)`)}
    workgroupBarrier();
  }
  for (var c = 0; c < ${columns}; c++) {
    let d = own + c * ${threads};
    for (var r = 0; r < ${tileRows}; r++) {
      let row = row0 + r;
      if (d < ${headDim} && row < uniforms.rows) { result[${
      outputAt(lengths)
    }] = sums[c * ${rowVectors} + r / 4][r % 4] / total[r]; }
    }
  }
}`,
  };
}

/** What the backward pass needs beside the operands. */
export interface AttentionGradOperands extends AttentionOperands {
  /** What attention gave, [batch, time, heads, headDim]. */
  readonly out: Value;
  /** Its cotangent. */
  readonly ct: Value;
}

/**
 * What the backward pass needs of each row, [batch, keyHeads, rows, 4]: the largest score, one over the sum of exponentials, the sum
 * of the result times its cotangent, and whether the query sees any key.
 */
export function attentionStatsProgram(operands: AttentionGradOperands, attrs: AttentionAttrs): Program {
  const { batch, keyHeads, headDim, rows } = lengthsOf(operands);
  const inputs = [
    ...sharedInputs(operands).filter(({ name }) => name !== "values"),
    { name: "outs", value: operands.out },
    { name: "ct", value: operands.ct },
  ];
  return {
    name: "attention stats",
    inputs,
    output: { dtype: "float32", shape: [batch, keyHeads, rows, 4] },
    groups: [Math.ceil(rows / tileRows), keyHeads, batch],
    groupSize: [threads, 1, 1],
    uniforms: uniformsOf(operands, attrs),
    code: `${
      withoutValues(accessCode(operands, attrs, inputs.filter(({ name }) => ["query", "outs", "ct"].includes(name))))
    }
${tileVariables}
fn main() {
  batch = i32(workgroupId.z);
  keyHead = i32(workgroupId.y);
  let row0 = i32(workgroupId.x) * ${tileRows};
  ${ownPlace}
  let own = i32(localIndex);
  let row = row0 + own;
  var most = ${absent};
  var total = 0.0;
  var sees = 0.0;
  var scores : array<vec4<f32>, ${ownRows}>;
  for (var key0 = 0; key0 < uniforms.keys; key0 += ${tileColumns}) {
    ${
      tileProduct(
        "scores",
        `queryRow(min(row0 + line, uniforms.rows - 1), d)`,
        `keyRow(min(key0 + line, uniforms.keys - 1), d)`,
        headDim,
      )
    }
    ${eachScore(`${weightAt("line", "place")} = scoreOf(scores[n][j]);`)}
    workgroupBarrier();
    if (own < ${tileRows} && row < uniforms.rows) {
      for (var j = 0; j < min(uniforms.columns, uniforms.keys - key0); j++) {
        let score = masked(${weightAt("own", "j")}, row, key0 + j);
        let more = max(most, score);
        total = total * exp(most - more) + exp(score - more);
        most = more;
        if (isVisible(row, key0 + j)) { sees = 1.0; }
      }
    }
    workgroupBarrier();
  }
  if (own < ${tileRows} && row < uniforms.rows) {
    var inner = 0.0;
    for (var d = 0; d < ${headDim}; d++) { inner += outsRow(row, d) * ctRow(row, d); }
    let at = ((batch * ${keyHeads} + keyHead) * uniforms.rows + row) * 4;
    result[at] = most;
    result[at + 1] = 1.0 / total;
    result[at + 2] = inner;
    result[at + 3] = sees;
  }
}`,
  };
}

/** Access code without the function that reads values, for programs that have none. */
function withoutValues(code: string): string {
  return code.replace(/fn valueRow.*\n/, "");
}

/** WGSL for the probability of a key, and for the slope of its score, from products and the row's stats at `at`. */
function slopeCode({ softCap, scale }: AttentionAttrs): string {
  const slope = softCap === null ? "1.0" : "(1.0 - t * t)";
  const tanh = softCap === null ? "" : `let t = safeTanh(product * ${literal(scale / softCap)});`;
  return `
fn weightOf(product : f32, row : i32, key : i32, at : i32) -> f32 {
  return exp(masked(scoreOf(product), row, key) - stats[at]) * stats[at + 1];
}
fn slopeOf(product : f32, weight : f32, dweight : f32, at : i32) -> f32 {
  ${tanh}
  return weight * (dweight - stats[at + 2]) * stats[at + 3] * ${slope} * ${literal(scale)};
}`;
}

/** The gradient for the queries. */
export function attentionQueryGradProgram(
  operands: AttentionGradOperands,
  stats: Value,
  attrs: AttentionAttrs,
): Program {
  const lengths = lengthsOf(operands);
  const { batch, keyHeads, headDim, rows, columns } = lengths;
  const inputs = gradInputs(operands, stats);
  return {
    name: "attention query gradient",
    inputs,
    output: { dtype: "float32", shape: operands.query.shape },
    groups: [Math.ceil(rows / tileRows), keyHeads, batch],
    groupSize: [threads, 1, 1],
    uniforms: uniformsOf(operands, attrs),
    code: `${accessCode(operands, attrs, rowInputs(inputs))}${slopeCode(attrs)}
${tileVariables}
fn main() {
  batch = i32(workgroupId.z);
  keyHead = i32(workgroupId.y);
  let row0 = i32(workgroupId.x) * ${tileRows};
  ${ownPlace}
  var sums : array<vec4<f32>, ${tileRows * columns / 4}>;
  var products : array<vec4<f32>, ${ownRows}>;
  var dweights : array<vec4<f32>, ${ownRows}>;
  for (var key0 = 0; key0 < uniforms.keys; key0 += ${tileColumns}) {
    ${
      tileProduct(
        "products",
        `queryRow(min(row0 + line, uniforms.rows - 1), d)`,
        `keyRow(min(key0 + line, uniforms.keys - 1), d)`,
        headDim,
      )
    }
    ${
      tileProduct(
        "dweights",
        `ctRow(min(row0 + line, uniforms.rows - 1), d)`,
        `valueRow(min(key0 + line, uniforms.keys - 1), d)`,
        headDim,
      )
    }
    ${
      eachScore(`let row = row0 + line;
        let key = key0 + place;
        var slope = 0.0;
        if (row < uniforms.rows && key < uniforms.keys) {
          let at = ((batch * ${keyHeads} + keyHead) * uniforms.rows + row) * 4;
          slope = slopeOf(products[n][j], weightOf(products[n][j], row, key, at), dweights[n][j], at);
        }
        ${weightAt("line", "place")} = slope;`)
    }
    workgroupBarrier();
    ${addWeighted(lengths, (i) => `keyRow(min(key0 + ${i}, uniforms.keys - 1), d)`)}
    workgroupBarrier();
  }
  for (var c = 0; c < ${columns}; c++) {
    let d = i32(localIndex) + c * ${threads};
    for (var r = 0; r < ${tileRows}; r++) {
      let row = row0 + r;
      if (d < ${headDim} && row < uniforms.rows) { result[${
      outputAt(lengths)
    }] = sums[c * ${rowVectors} + r / 4][r % 4]; }
    }
  }
}`,
  };
}

/**
 * The gradient for the keys or for the values. A tile has keys as its rows and queries as its columns, so that a thread's sums
 * are of keys.
 */
export function attentionKeyGradProgram(
  which: "key" | "value",
  operands: AttentionGradOperands,
  stats: Value,
  attrs: AttentionAttrs,
): Program {
  const lengths = lengthsOf(operands);
  const { batch, keys, keyHeads, headDim, columns } = lengths;
  const inputs = gradInputs(operands, stats);
  const forKey = which === "key";
  const dproduct = forKey
    ? tileProduct(
      "dweights",
      `valueRow(min(key0 + line, uniforms.keys - 1), d)`,
      `ctRow(min(row0 + line, uniforms.rows - 1), d)`,
      headDim,
    )
    : "";
  const code = `${accessCode(operands, attrs, rowInputs(inputs))}${slopeCode(attrs)}
${tileVariables}
fn main() {
  batch = i32(workgroupId.z);
  keyHead = i32(workgroupId.y);
  let key0 = i32(workgroupId.x) * ${tileRows};
  ${ownPlace}
  var sums : array<vec4<f32>, ${tileRows * columns / 4}>;
  var products : array<vec4<f32>, ${ownRows}>;
  var dweights : array<vec4<f32>, ${ownRows}>;
  for (var row0 = 0; row0 < uniforms.rows; row0 += ${tileColumns}) {
    ${
    tileProduct(
      "products",
      `keyRow(min(key0 + line, uniforms.keys - 1), d)`,
      `queryRow(min(row0 + line, uniforms.rows - 1), d)`,
      headDim,
    )
  }
    ${dproduct}
    ${
    eachScore(`let row = row0 + place;
        let key = key0 + line;
        var x = 0.0;
        if (row < uniforms.rows && key < uniforms.keys) {
          let at = ((batch * ${keyHeads} + keyHead) * uniforms.rows + row) * 4;
          x = weightOf(products[n][j], row, key, at);
          ${forKey ? "x = slopeOf(products[n][j], x, dweights[n][j], at);" : ""}
        }
        ${weightAt("line", "place")} = x;`)
  }
    workgroupBarrier();
    ${addWeighted(lengths, (i) => `${forKey ? "query" : "ct"}Row(min(row0 + ${i}, uniforms.rows - 1), d)`)}
    workgroupBarrier();
  }
  for (var c = 0; c < ${columns}; c++) {
    let d = i32(localIndex) + c * ${threads};
    for (var r = 0; r < ${tileRows}; r++) {
      let key = key0 + r;
      if (d < ${headDim} && key < uniforms.keys) {
        result[((batch * uniforms.keys + key) * ${keyHeads} + keyHead) * ${headDim} + d] = sums[c * ${rowVectors} + r / 4][r % 4];
      }
    }
  }
}`;
  return {
    name: `attention ${which} gradient`,
    inputs: forKey ? inputs : inputs.filter(({ name }) => name !== "values"),
    output: { dtype: "float32", shape: operands[which].shape },
    groups: [Math.ceil(keys / tileRows), keyHeads, batch],
    groupSize: [threads, 1, 1],
    uniforms: uniformsOf(operands, attrs),
    code: forKey ? code : withoutValues(code).replace(/var dweights.*/, ""),
  };
}

/** The inputs of the gradients. */
function gradInputs(operands: AttentionGradOperands, stats: Value): ProgramInput[] {
  return [...sharedInputs(operands), { name: "ct", value: operands.ct }, { name: "stats", value: stats }];
}

function rowInputs(inputs: readonly ProgramInput[]): ProgramInput[] {
  return inputs.filter(({ name }) => name === "query" || name === "ct");
}
