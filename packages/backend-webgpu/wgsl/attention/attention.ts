/**
 * Attention without the matrix of logits in memory: tiles of it are computed, used and dropped, with a running maximum and
 * sum per query (Dao et al., arXiv 2205.14135).
 */

import type { AttentionAttrs } from "@tessera/core";
import { absent, type AttentionOperands, hidden } from "./attention_access.ts";
import { type Tiling, tilingOf } from "./attention_tiles.ts";
import type { Program } from "../program.ts";

/** The program of attention. */
export function attentionProgram(operands: AttentionOperands, attrs: AttentionAttrs): Program {
  const { query, key, value } = operands;
  const tiling = tilingOf("row", operands, { query, key, value }, attrs);
  return tiling.program(
    "attention",
    query.shape,
    `${tiling.sums}
  ${
      softmaxCode(
        tiling,
        `${tiling.scaleSums("decay")}
    ${tiling.addUp("score", "value")}`,
      )
    }
  ${tiling.scaleSums("(1.0 / total)")}
  ${tiling.writeSums}`,
  );
}

/**
 * WGSL that goes through the keys and leaves of each row the largest score and the sum of the exponentials of the scores less it,
 * `most` and `total`. A tile's exponentials less the largest score so far are `score0`, `score1`, …, and `decay` is what makes
 * of earlier ones what they would be now.
 */
export function softmaxCode(tiling: Tiling, code = ""): string {
  return `var most = vec4<f32>(${absent});
  var total = vec4<f32>(0.0);
  ${
    tiling.loop(
      `${tiling.product("score", "query", "key")}
    var more = most;
    ${
        tiling.each((j) =>
          `score${j} = select(vec4<f32>(${absent}), masked(scoreOf(score${j}), ${tiling.visible}), column < uniforms.keys);
        more = max(more, score${j});`
        )
      }
    more = largestOf(more);
    let decay = exp(most - more);
    most = more;
    total *= decay;
    ${tiling.each((j) => `score${j} = exp(score${j} - most); total += score${j};`)}
    ${code}`,
      // A query that sees nothing mixes all values evenly.
      { unsettled: `most <= vec4<f32>(${hidden})` },
    )
  }
  total = sumOf(total);`;
}
