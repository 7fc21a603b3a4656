/** The gradients of attention (Dao et al., arXiv 2205.14135): scores are computed again, tile by tile, from statistics of their rows. */

import type { AttentionAttrs } from "@tessera/core";
import type { Value } from "../engine.ts";
import { literal, type Program, type ProgramInput } from "./program.ts";
import {
  absent,
  accessCode,
  addWeighted,
  type AttentionOperands,
  eachScore,
  lengthsOf,
  outputAt,
  ownPlace,
  ownRows,
  rowVectors,
  sharedInputs,
  threads,
  tileColumns,
  tileProduct,
  tileRows,
  tileVariables,
  uniformsOf,
  weightAt,
} from "./attention_tiles.ts";
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
