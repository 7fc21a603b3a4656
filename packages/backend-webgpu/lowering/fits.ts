/** Whether a graph fits the GPU, asked before anything is compiled or run. */

import { bytesOf, formatBytes, formatType, type Graph, type OpName, type Tensor } from "@tessera/core";
import type { Step } from "../executable.ts";
import { rowsPerPart, wordsOf } from "../engine.ts";

/** Ops whose programs read an operand, by its position, in pieces along its first axis. */
const inPieces: Partial<Readonly<Record<OpName, readonly number[]>>> = {
  gather: [0],
  einsum: [0, 1],
  quantizedEinsum: [1],
};

/**
 * Checks that every program can bind what it reads and writes. Inputs that are larger than that are in pieces, which some
 * programs read.
 *
 * @throws {RangeError} that names the value, with its size, the limit and what would fit.
 */
export function checkFits(graph: Graph, steps: readonly Step[], bindingBytes: number): void {
  const names = new Map(graph.inputs.map((input, i) => [input, `input "${graph.inputNames[i]}"`]));
  const isLarge = (value: Tensor) => wordsOf(value.type) * 4 > bindingBytes;
  for (const { operands, results, op } of steps) {
    const whole = operands.filter((_, i) => !inPieces[op as OpName]?.includes(i));
    const bad = [...whole, ...results].find(isLarge) ??
      operands.find((operand) =>
        isLarge(operand) && (!names.has(operand) || rowsPerPart(operand.type, bindingBytes) === null)
      );
    if (bad === undefined) continue;
    throw new RangeError(
      `Cannot compile "${graph.name}": ${names.get(bad) ?? `a result of ${op ?? "elementwise ops"}`}, ${
        formatType(bad.type)
      }, takes ${formatBytes(bytesOf(bad.type))}, and a program on this GPU reads and writes at most ${
        formatBytes(bindingBytes)
      } of one tensor; use a smaller batch, shorter sequences, or LoRA instead of training the whole table`,
    );
  }
}
