/** The composites that have a program on WebGPU: those whose definition would write large arrays, or read them often. */

import { type CompositeName, type Lowering, sizeOf } from "@tessera/core";
import type { Value } from "../engine/engine.ts";
import type { WebgpuEngine } from "../engine/webgpu_engine.ts";
import { adamWProgram } from "../wgsl/adamw.ts";
import { attentionProgram } from "../wgsl/attention/attention.ts";
import {
  type AttentionGradOperands,
  attentionKeyGradProgram,
  attentionQueryGradProgram,
  attentionStatsProgram,
  attentionValueGradProgram,
} from "../wgsl/attention/attention_grad.ts";
import type { AttentionOperands } from "../wgsl/attention/attention_access.ts";
import { quantizedEinsumProgram } from "../wgsl/products/matmul.ts";
import { concatProgram } from "../wgsl/movement.ts";
import {
  crossEntropyGradProgram,
  crossEntropyProgram,
  inverseRmsProgram,
  rmsNormInputGradProgram,
  rmsNormProgram,
  rmsNormScaleGradProgram,
  rotaryProgram,
  softmaxProgram,
} from "../wgsl/rows.ts";
import { resultType } from "./family.ts";
import { byProgram, productInParts, runProgram } from "./programs.ts";
import { tfjsLowering } from "./table.ts";
import type { Workspace } from "./workspace.ts";

/** The operands of attention as its programs take them, with all positions in one tensor. */
export function attentionOperands(
  workspace: Workspace,
  [query, key, value, first, last, keyPositions]: readonly Value[],
): AttentionOperands {
  const flat = [first!, last!, keyPositions!].map((x) => workspace.view(x, [sizeOf(x.shape)]));
  return { query: query!, key: key!, value: value!, positions: runProgram(workspace, concatProgram(flat, 0)) };
}

/** The composites that are not decomposed. */
export const webgpuComposites = {
  rmsNorm: byProgram<"rmsNorm">(([x, scale], attrs) => rmsNormProgram(x!, scale!, attrs)),
  rmsNormGrad: (workspace, [x, scale, ct], attrs) => {
    const dx = runProgram(workspace, rmsNormInputGradProgram(x, scale, ct, attrs));
    if (!workspace.needs(1)) return [dx, dx];
    const inverse = runProgram(workspace, inverseRmsProgram(x, attrs.epsilon));
    return [dx, runProgram(workspace, rmsNormScaleGradProgram(x, inverse, ct))];
  },
  softmax: byProgram<"softmax">(([x]) => softmaxProgram(x!)),
  rotaryEmbedding: byProgram<"rotaryEmbedding">(([x, positions, frequencies], { inverse }) =>
    rotaryProgram(x!, positions!, frequencies!, inverse)
  ),
  attention: (workspace, operands, attrs) => [
    runProgram(workspace, attentionProgram(attentionOperands(workspace, operands), attrs)),
  ],
  attentionGrad: (workspace, operands, attrs) => {
    const [query, key, value] = operands;
    const [out, ct] = operands.slice(6) as [Value, Value];
    const all: AttentionGradOperands = { ...attentionOperands(workspace, operands), out, ct };
    const stats = runProgram(workspace, attentionStatsProgram(all, attrs));
    return [
      workspace.needs(0) ? runProgram(workspace, attentionQueryGradProgram(all, stats, attrs)) : query,
      workspace.needs(1) ? runProgram(workspace, attentionKeyGradProgram(all, stats, attrs)) : key,
      workspace.needs(2) ? runProgram(workspace, attentionValueGradProgram(all, stats, attrs)) : value,
    ];
  },
  adamW: (workspace, operands, attrs) => {
    const engine = workspace.engine as WebgpuEngine;
    const [weight, momentum, velocity, ...step] = operands;
    const state = [weight, momentum, velocity].map((value, i) =>
      workspace.mayOverwrite(i) || sizeOf(value.shape) === 0 ? value : workspace.own(engine.copy(value))
    ) as [Value, Value, Value];
    if (sizeOf(weight.shape) > 0) engine.update(adamWProgram({ state, step }, attrs));
    return state;
  },
  quantizedEinsum: (workspace, [x, codes, scales], { spec, bits }, node) => {
    const { dtype, shape } = resultType(node);
    if (sizeOf(shape) === 0 || sizeOf(x.shape) === 0) {
      return tfjsLowering.full(workspace, [], { dtype, shape, value: 0 }, node);
    }
    const weight = { codes, scales, bits, rows: codes.shape[0]! };
    if (codes.parts === undefined) return [runProgram(workspace, quantizedEinsumProgram(spec, x, weight))];
    return [
      productInParts(
        workspace,
        spec,
        codes,
        1,
        { dtype, shape },
        (part, share) => quantizedEinsumProgram(spec, x, { ...weight, codes: part }, share),
      ),
    ];
  },
  crossEntropy: byProgram<"crossEntropy">(([logits, labels]) => crossEntropyProgram(logits!, labels!)),
  crossEntropyGrad: byProgram<"crossEntropyGrad">(([logits, labels]) => crossEntropyGradProgram(logits!, labels!)),
} as const satisfies Partial<Pick<Lowering<Workspace, Value>, CompositeName>>;
