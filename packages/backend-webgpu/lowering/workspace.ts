/**
 * Where lowering rules work: everything that a rule makes is noted, and what it does not return is freed when it ends. So
 * rules read like formulas, and no tensor outlives its use.
 */

import { type DType, type HostTensor, sameShape } from "@tessera/core";
import { callKernel, type Engine, isPacked, release, retain, type Value } from "../engine/engine.ts";

/** What rules are given. */
export interface Workspace {
  /** What computes. */
  readonly engine: Engine;
  /** Whether anything needs a result of the node, by its position; for others a rule may return any value. */
  needs(result: number): boolean;
  /** Whether nothing else needs an operand of the node, by its position, so that a rule may write over it. */
  mayOverwrite(operand: number): boolean;
  /** The first result of a tfjs kernel. */
  kernel(name: string, inputs: Readonly<Record<string, Value>> | readonly Value[], attrs?: object): Value;
  /** All results of a tfjs kernel. */
  kernels(name: string, inputs: Readonly<Record<string, Value>> | readonly Value[], attrs?: object): Value[];
  /** The same elements in another shape. */
  view(x: Value, shape: readonly number[]): Value;
  /** A small constant. */
  constant(tensor: HostTensor): Value;
  /** Packed values as float32; others as they are. */
  wide(x: Value): Value;
  /** float32 as another dtype where that is a packed one; else the value as it is. */
  rounded(x: Value, dtype: DType): Value;
  /** Notes a value that was made by other means. */
  own(x: Value): Value;
}

/** Runs a rule, and frees what it made and does not return. Each value that it returns counts one user more. */
export function inWorkspace(
  engine: Engine,
  { needs, mayOverwrite }: Pick<Workspace, "needs" | "mayOverwrite">,
  rule: (workspace: Workspace) => readonly Value[],
): readonly Value[] {
  const made: Value[] = [];
  const own = (value: Value) => {
    made.push(value);
    return value;
  };
  const workspace: Workspace = {
    engine,
    needs,
    mayOverwrite,
    own,
    kernel: (name, inputs, attrs) => workspace.kernels(name, inputs, attrs)[0]!,
    kernels: (name, inputs, attrs) => callKernel(engine, name, inputs, attrs).map(own),
    view: (x, shape) => sameShape(x.shape, shape) ? x : own(retain(engine, { ...x, shape })),
    constant: (tensor) => own(engine.upload(tensor)),
    wide: (x) => isPacked(x.dtype) ? own(engine.widen(x)) : x,
    rounded: (x, dtype) => isPacked(dtype) && x.dtype === "float32" ? own(engine.narrow(x, dtype)) : x,
  };
  try {
    return rule(workspace).map((value) => retain(engine, value));
  } finally {
    for (const value of made) release(engine, value);
  }
}
