/**
 * Attention without the matrix of scores in memory: tiles of scores are computed, used and forgotten, with a running maximum and
 * sum per query (Dao et al., arXiv 2205.14135).
 */

import type { AttentionAttrs } from "@tessera/core";
import type { Program } from "./program.ts";
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
