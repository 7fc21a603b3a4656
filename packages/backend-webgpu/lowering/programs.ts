/** Rules that are programs in WGSL. */

import { type Lowering, type Node, type Rule, sizeOf } from "@tessera/core";
import type { Value } from "../engine.ts";
import type { WebgpuEngine } from "../webgpu_engine.ts";
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
  program: (operands: readonly Value[], attrs: Parameters<Rule<K, Workspace, Value>>[2], node: Node) => Program,
): Rule<K, Workspace, Value> {
  return ((workspace: Workspace, operands: readonly Value[], attrs: never, node: Node) => {
    const { dtype, shape } = resultType(node);
    return [
      sizeOf(shape) === 0 ? empty(workspace, dtype, shape) : runProgram(workspace, program(operands, attrs, node)),
    ];
  }) as unknown as Rule<K, Workspace, Value>;
}
