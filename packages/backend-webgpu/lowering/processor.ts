/**
 * The lowering for drivers that run programs on the processor, such as Mesa's llvmpipe: where most of the time goes, programs
 * without barriers and shared memory, which are slow there; for everything else the programs of a GPU.
 */

import { type Lowering, sizeOf } from "@tessera/core";
import type { Value } from "../engine/engine.ts";
import {
  attentionByThreads,
  fitsThreads,
  keyGradsByThreads,
  queryGradByThreads,
  statsByThreads,
} from "../wgsl/attention/attention_threads.ts";
import { type Group, groupProgram, vectorProgram } from "../wgsl/elementwise.ts";
import { blockProgram } from "../wgsl/products/matmul_blocks.ts";
import { einsumProduct } from "../wgsl/products/matmul.ts";
import { sliceProgram } from "../wgsl/movement.ts";
import type { Program } from "../wgsl/program.ts";
import { fitsRowThreads, rmsNormByThreads, rmsNormInputGradByThreads } from "../wgsl/rows_threads.ts";
import { runProgram } from "./programs.ts";
import { webgpuLowering } from "./webgpu.ts";
import { attentionOperands, webgpuComposites } from "./webgpu_composites.ts";
import type { Workspace } from "./workspace.ts";

/** One rule per op. */
export const processorLowering: Lowering<Workspace, Value> = {
  ...webgpuLowering,
  ...{
    einsum: (workspace, operands, attrs, node) => {
      const [a, b] = operands;
      const isPlain = ({ dtype, shape, parts }: Value) =>
        dtype === "float32" && parts === undefined && sizeOf(shape) > 0;
      const program = isPlain(a) && isPlain(b) ? blockProgram(einsumProduct(attrs.spec, a, b, attrs.scale ?? 1)) : null;
      return program === null
        ? webgpuLowering.einsum(workspace, operands, attrs, node)
        : [runProgram(workspace, program)];
    },
    attention: (workspace, operands, attrs) =>
      fitsThreads(operands.slice(0, 3))
        ? [runProgram(workspace, attentionByThreads(attentionOperands(workspace, operands), attrs))]
        : webgpuComposites.attention(workspace, operands, attrs),
    attentionGrad: (workspace, operands, attrs) => {
      const [query, key, value, , , , out, ct] = operands;
      if (!fitsThreads([query, key, value, out, ct])) {
        return webgpuComposites.attentionGrad(workspace, operands, attrs);
      }
      const all = { ...attentionOperands(workspace, operands), out, ct };
      const stats = runProgram(workspace, statsByThreads(all, attrs));
      const dquery = workspace.needs(0) ? runProgram(workspace, queryGradByThreads(all, stats, attrs)) : query;
      if (!workspace.needs(1) && !workspace.needs(2)) return [dquery, key, value];
      const both = runProgram(workspace, keyGradsByThreads(all, stats, attrs));
      const ones = both.shape.map(() => 1);
      const [dkey, dvalue] = [0, 1].map((half) =>
        workspace.needs(1 + half)
          ? workspace.view(
            runProgram(workspace, sliceProgram(both, [1, ...key.shape], [half, 0, 0, 0, 0], ones)),
            key.shape,
          )
          : key
      ) as [Value, Value];
      return [dquery, dkey, dvalue];
    },
    rmsNorm: (workspace, operands, attrs, node) => {
      const [x, scale] = operands;
      return fitsRowThreads(operands)
        ? [runProgram(workspace, rmsNormByThreads(x, scale, attrs))]
        : webgpuComposites.rmsNorm(workspace, operands, attrs, node);
    },
    rmsNormGrad: (workspace, operands, attrs) => {
      const [x, scale, ct] = operands;
      if (workspace.needs(1) || !fitsRowThreads(operands)) {
        return webgpuComposites.rmsNormGrad(workspace, operands, attrs);
      }
      const dx = runProgram(workspace, rmsNormInputGradByThreads(x, scale, ct, attrs));
      return [dx, dx];
    },
  } satisfies Partial<Lowering<Workspace, Value>>,
};

/** The program of a group of elementwise nodes. */
export function processorGroup(group: Group, operands: readonly Value[]): Program {
  return vectorProgram(group, operands) ?? groupProgram(group, operands);
}
