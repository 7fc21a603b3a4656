/** Programs over rows for drivers that run programs on the processor, as in `matmul_blocks.ts`: a thread has a row to itself. */

import type { TensorType } from "@tessera/core";
import type { Value } from "../engine/engine.ts";
import { literal, type Program } from "./program.ts";

/** Whether the programs here take these operands. */
export function fitsRowThreads(operands: readonly TensorType[]): boolean {
  return operands.every(({ dtype, shape }) => dtype === "float32" && shape.at(-1)! % 4 === 0);
}

/** What normalizations need in addition to their operands. */
interface NormAttrs {
  readonly epsilon: number;
  readonly offset: number;
}

interface RowProgram {
  readonly name: string;
  readonly inputs: Readonly<Record<string, Value>>;
  /** Statements; `start` is where the row's vectors begin. */
  readonly code: (vectors: number) => string;
}

/** A program that writes rows like those of its first input. */
function rowProgram({ name, inputs, code }: RowProgram): Program {
  const { shape } = Object.values(inputs)[0]!;
  const rows = shape.slice(0, -1).reduce((product, length) => product * length, 1);
  return {
    name: `${name} by threads`,
    inputs: Object.entries(inputs).map(([key, value]) => ({ name: key, value, vectors: true })),
    output: { dtype: "float32", shape },
    writesVectors: true,
    threads: rows,
    groupSize: [32, 1, 1],
    uniforms: [{ name: "rows", type: "int32", value: rows }],
    code: `fn main(index : i32) {
  if (index >= uniforms.rows) { return; }
  let start = index * ${shape.at(-1)! / 4};
  ${code(shape.at(-1)! / 4)}
}`,
  };
}

const each = (vectors: number, body: string) => `for (var i = 0; i < ${vectors}; i++) { ${body} }`;

/** Root-mean-square normalization. */
export function rmsNormByThreads(x: Value, scale: Value, { epsilon, offset }: NormAttrs): Program {
  return rowProgram({
    name: "rmsNorm",
    inputs: { x, scale },
    code: (vectors) =>
      `var squares = 0.0;
  ${each(vectors, "let own = x[start + i]; squares += dot(own, own);")}
  let inverse = 1.0 / sqrt(squares / ${4 * vectors}.0 + ${literal(epsilon)});
  ${each(vectors, `result[start + i] = x[start + i] * inverse * (scale[i] + ${literal(offset)});`)}`,
  });
}

/** The gradient of root-mean-square normalization for its input: with g = ct · gain, r (g - x · r² · mean(g x)). */
export function rmsNormInputGradByThreads(
  x: Value,
  scale: Value,
  ct: Value,
  { epsilon, offset }: NormAttrs,
): Program {
  return rowProgram({
    name: "rmsNorm input gradient",
    inputs: { x, scale, ct },
    code: (vectors) =>
      `var squares = 0.0;
  var inner = 0.0;
  ${
        each(
          vectors,
          `let own = x[start + i];
    squares += dot(own, own);
    inner += dot(ct[start + i] * (scale[i] + ${literal(offset)}), own);`,
        )
      }
  let inverse = 1.0 / sqrt(squares / ${4 * vectors}.0 + ${literal(epsilon)});
  let shift = inner / ${4 * vectors}.0 * inverse * inverse;
  ${
        each(
          vectors,
          `result[start + i] = (ct[start + i] * (scale[i] + ${literal(offset)}) - x[start + i] * shift) * inverse;`,
        )
      }`,
  });
}
