/** The gradients of attention (Dao et al., arXiv 2205.14135): scores are computed again, tile by tile, from statistics of their rows. */

import type { AttentionAttrs } from "@tessera/core";
import type { Value } from "../../engine/engine.ts";
import { softmaxCode } from "./attention.ts";
import { type AttentionOperands, hidden, lengthsOf } from "./attention_access.ts";
import { tilingOf } from "./attention_tiles.ts";
import { literal, type Program } from "../program.ts";

/** What the backward pass needs in addition to the operands. */
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
  const { query, key, out, ct } = operands;
  const { batch, keyHeads, rows } = lengthsOf(operands);
  const tiling = tilingOf("row", operands, { query, key, out, ct }, attrs);
  return tiling.program(
    "attention stats",
    [batch, keyHeads, rows, 4],
    `${softmaxCode(tiling)}
  var inner = vec4<f32>(0.0);
  for (var d = firstColumn / own; d < headDim; d += tileColumns / own) {
    for (var r = 0; r < 4; r++) {
      let row = min(line0 + vector * 4 + r, uniforms.rows - 1);
      inner[r] += outAt(row, d) * ctAt(row, d);
    }
  }
  inner = sumOf(inner);
  for (var r = 0; r < 4; r++) {
    let row = line0 + vector * 4 + r;
    if (firstColumn == 0 && row < uniforms.rows) {
      let at = statsStart(row);
      result[at] = most[r];
      result[at + 1] = 1.0 / total[r];
      result[at + 2] = inner[r];
      result[at + 3] = select(0.0, 1.0, most[r] > ${hidden});
    }
  }`,
  );
}

/** WGSL for the probability of each of four scores, and for the slope of their products, from what is known of their rows. */
function slopeCode({ softCap, scale }: AttentionAttrs): string {
  const slope = softCap === null ? "" : ` * (1.0 - square(tanhOf(product * ${literal(scale / softCap)})))`;
  return `fn square(x : vec4<f32>) -> vec4<f32> { return x * x; }
fn weightOf(product : vec4<f32>, isSeen : vec4<bool>, most : vec4<f32>, share : vec4<f32>) -> vec4<f32> {
  return exp(masked(scoreOf(product), isSeen) - most) * share;
}
fn slopeOf(product : vec4<f32>, weight : vec4<f32>, dweight : vec4<f32>, inner : vec4<f32>) -> vec4<f32> {
  return weight * (dweight - inner) * ${literal(scale)}${slope};
}`;
}

/** The gradient for the queries. */
export function attentionQueryGradProgram(
  operands: AttentionGradOperands,
  stats: Value,
  attrs: AttentionAttrs,
): Program {
  const { query, key, value, ct } = operands;
  const tiling = tilingOf("row", operands, { query, key, value, ct, stats }, attrs);
  return tiling.program(
    "attention query gradient",
    query.shape,
    `var most : vec4<f32>;
  var share : vec4<f32>;
  var inner : vec4<f32>;
  for (var r = 0; r < 4; r++) {
    let row = statsOf(min(line0 + vector * 4 + r, uniforms.rows - 1));
    most[r] = row[0];
    share[r] = row[1] * row[3];
    inner[r] = row[2];
  }
  ${tiling.sums}
  ${
      tiling.loop(`${tiling.product("product", "query", "key")}
    ${tiling.product("slope", "ct", "value")}
    ${
        tiling.each((j) =>
          `let weight = weightOf(product${j}, ${tiling.visible}, most, share);
        slope${j} = select(vec4<f32>(0.0), slopeOf(product${j}, weight, slope${j}, inner), column < uniforms.keys);`
        )
      }
    ${tiling.addUp("slope", "key")}`)
    }
  ${tiling.writeSums}`,
    slopeCode(attrs),
  );
}

/** The gradient for the keys; lines are keys, so that a thread's sums are of keys. */
export function attentionKeyGradProgram(operands: AttentionGradOperands, stats: Value, attrs: AttentionAttrs): Program {
  const { query, key, value, ct } = operands;
  const tiling = tilingOf("key", operands, { query, key, value, ct, stats }, attrs);
  return tiling.program(
    "attention key gradient",
    key.shape,
    `${tiling.sums}
  ${
      tiling.loop(`${tiling.product("product", "key", "query")}
    ${tiling.product("slope", "value", "ct")}
    ${
        tiling.each((j) =>
          `let row = statsOf(min(column, uniforms.rows - 1));
        let weight = weightOf(product${j}, ${tiling.visible}, vec4<f32>(row[0]), vec4<f32>(row[1] * row[3]));
        slope${j} = select(vec4<f32>(0.0), slopeOf(product${j}, weight, slope${j}, vec4<f32>(row[2])), column < uniforms.rows);`
        )
      }
    ${tiling.addUp("slope", "query")}`)
    }
  ${tiling.writeSums}`,
    slopeCode(attrs),
  );
}

/** The gradient for the values. Rows that see nothing count for all of them. */
export function attentionValueGradProgram(
  operands: AttentionGradOperands,
  stats: Value,
  attrs: AttentionAttrs,
): Program {
  const { query, key, value, ct } = operands;
  const tiling = tilingOf("key", operands, { query, key, ct, stats }, attrs);
  return tiling.program(
    "attention value gradient",
    value.shape,
    `${tiling.sums}
  ${
      tiling.loop(
        `${tiling.product("weight", "key", "query")}
    ${
          tiling.each((j) =>
            `let row = statsOf(min(column, uniforms.rows - 1));
        weight${j} = weightOf(weight${j}, ${tiling.visible}, vec4<f32>(row[0]), vec4<f32>(row[1]));
        if (column >= uniforms.rows) { weight${j} = vec4<f32>(0.0); }`
          )
        }
    ${tiling.addUp("weight", "ct")}`,
        { also: "statsOf(column)[3] == 0.0" },
      )
    }
  ${tiling.writeSums}`,
    slopeCode(attrs),
  );
}
