/** Whether a graph fits the GPU, asked before anything is compiled or run. */

import type { Graph, OpName, Tensor } from "@tessera/core";
import type { Excess } from "@tessera/runtime";
import type { Step } from "../executable.ts";
import { fitsBinding, mostWords, rowsPerPart, wordsOf } from "../engine/engine.ts";

/** Ops whose programs read an operand, by its position, in slices along its first axis. */
const inPieces: Partial<Readonly<Record<OpName, readonly number[]>>> = {
  gather: [0],
  einsum: [0, 1],
  quantizedEinsum: [1],
};

/**
 * The first value that a program would have to bind and cannot; `null` when there is none. Inputs that are larger than a binding
 * are in slices, which some programs read.
 */
export function excessOf(graph: Graph, steps: readonly Step[], bindingBytes: number): Excess | null {
  const names = new Map(graph.inputs.map((input, i) => [input, `input "${graph.inputNames[i]}"`]));
  const isLarge = (value: Tensor) => !fitsBinding(value.type, bindingBytes);
  for (const { operands, results, op } of steps) {
    const [first, ...others] = operands.filter((operand, i) => inPieces[op as OpName]?.includes(i) && isLarge(operand));
    // A program goes through the slices of one operand only.
    const whole = [...operands.filter((operand) => operand !== first), ...others];
    const found = [...whole, ...results].find(isLarge) ??
      operands.find((operand) =>
        isLarge(operand) && (!names.has(operand) || rowsPerPart(operand.type, bindingBytes) === null)
      );
    if (found === undefined) continue;
    const { type } = found;
    const what = names.get(found) ?? `a result of ${op ?? "elementwise ops"}`;
    return { what, type, bytes: wordsOf(type) * 4, limitBytes: 4 * mostWords(type.dtype, bindingBytes) };
  }
  return null;
}
