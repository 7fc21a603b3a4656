/** Rules that are programs in WGSL. */

import { type GraphNode, type Lowering, parseEinsum, type Rule, sizeOf, type TensorType } from "@tessera/core";
import { partsOf, type Value } from "../engine/engine.ts";
import type { WebgpuEngine } from "../engine/webgpu_engine.ts";
import type { Share } from "../wgsl/products/product.ts";
import { fullProgram } from "../wgsl/movement.ts";
import type { Program } from "../wgsl/program.ts";
import { resultType } from "./family.ts";
import { empty } from "./movement.ts";
import type { Workspace } from "./workspace.ts";

/** The result of a program. */
export function runProgram(workspace: Workspace, program: Program): Value {
  return workspace.own((workspace.engine as WebgpuEngine).run(program));
}

/** A rule that is one program; results without elements need none. */
export function byProgram<K extends keyof Lowering<Workspace, Value>>(
  program: (operands: readonly Value[], attrs: Parameters<Rule<K, Workspace, Value>>[2], node: GraphNode) => Program,
): Rule<K, Workspace, Value> {
  return ((workspace: Workspace, operands: readonly Value[], attrs: never, node: GraphNode) => {
    const { dtype, shape } = resultType(node);
    return [
      sizeOf(shape) === 0 ? empty(workspace, dtype, shape) : runProgram(workspace, program(operands, attrs, node)),
    ];
  }) as unknown as Rule<K, Workspace, Value>;
}

/** A product with one operand, the first or the second of the spec, in slices along its first letter. */
export function productInParts(
  workspace: Workspace,
  spec: string,
  pieces: Value,
  position: 0 | 1,
  { shape }: TensorType,
  program: (part: Value, share: Share) => Program,
): Value {
  const { a, b } = parseEinsum(spec);
  const letter = (position === 0 ? a : b)[0]!;
  const into = runProgram(workspace, fullProgram("float32", shape, 0));
  for (const { part, start } of partsOf(pieces)) {
    runProgram(workspace, program(part, { letter, start, count: part.shape[0]!, into }));
  }
  return into;
}
