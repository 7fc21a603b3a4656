/** Programs in which a group of threads works on one row, the elements along the last axis. */

import type { TensorType } from "@tessera/core";
import type { Value } from "../engine/engine.ts";
import { elementAt, elementProgram } from "./element.ts";
import { stridesOf } from "./index_map.ts";
import { mathCode } from "./math.ts";
import { packedCode } from "./packed.ts";
import { gridOf, literal, type Program, type ProgramInput } from "./program.ts";

/** The threads of a group, and about how many elements of a row each takes; short rows share a group. */
const [threads, elementsPerThread] = [128, 16];

/** How many threads a row has. */
function lanesOf(width: number): number {
  return Math.min(threads, 2 ** Math.ceil(Math.log2(Math.max(width / elementsPerThread, 1))));
}

/** A program over rows: `code` is run by every thread of a row's group, and must reach each `sumOf` and `maxOf`. */
interface RowProgram {
  readonly name: string;
  readonly inputs: readonly ProgramInput[];
  readonly output: TensorType;
  readonly rows: number;
  readonly width: number;
  /** Functions that the code calls. */
  readonly functions?: string;
  /** Statements; `start` is where the row's elements begin, `here` says whether the row is one. */
  readonly code: string;
}

function rowProgram({ name, inputs, output, rows, width, functions = "", code }: RowProgram): Program {
  const lanes = lanesOf(width);
  const lines = Math.ceil(rows / (threads / lanes));
  const { groups, group } = gridOf(lines);
  const reduction = (name: string, combine: (a: string, b: string) => string) =>
    `fn ${name}(x : f32) -> f32 {
  parts[localIndex] = x;
  workgroupBarrier();
  let lane = localIndex % ${lanes}u;
  for (var half = ${lanes}u / 2u; half > 0u; half = half / 2u) {
    if (lane < half) { parts[localIndex] = ${combine("parts[localIndex]", "parts[localIndex + half]")}; }
    workgroupBarrier();
  }
  let y = parts[localIndex - lane];
  workgroupBarrier();
  return y;
}`;
  return {
    name,
    inputs,
    output,
    groups,
    groupSize: [threads, 1, 1],
    code: `${packedCode}${functions}
var<workgroup> parts : array<f32, ${threads}>;
${reduction("sumOf", (a, b) => `${a} + ${b}`)}
${reduction("maxOf", (a, b) => `max(${a}, ${b})`)}
fn main() {
  let line = ${group} * ${threads / lanes} + i32(localIndex) / ${lanes};
  let here = line < ${rows};
  let row = min(line, ${rows - 1});
  let start = row * ${width};
  let own = i32(localIndex) % ${lanes};
  ${code}
}`,
  };
}

/** WGSL that does something for each element of the row, shared among the threads. */
function each(width: number, body: string): string {
  return `for (var i = own; i < ${width}; i += ${lanesOf(width)}) { ${body} }`;
}

/** How many rows a tensor has, and how long they are. */
function rowsOf({ shape }: TensorType): { rows: number; width: number } {
  const width = shape.at(-1)!;
  return { rows: shape.slice(0, -1).reduce((product, length) => product * length, 1), width };
}

/** WGSL that sums squares of `x` and gives one over the root of their mean. */
function inverseRms(width: number, epsilon: number): string {
  return `var squares = 0.0;
  ${each(width, "squares += xAt(start + i) * xAt(start + i);")}
  let inverse = 1.0 / sqrt(sumOf(squares) / ${width}.0 + ${literal(epsilon)});`;
}

function reader(name: string, value: Value): string {
  return `fn ${name}At(at : i32) -> f32 { return ${elementAt(name, value.dtype, "at")}; }\n`;
}

/** Root-mean-square normalization. */
export function rmsNormProgram(x: Value, scale: Value, { epsilon, offset }: NormAttrs): Program {
  const { rows, width } = rowsOf(x);
  return rowProgram({
    name: "rmsNorm",
    inputs: [{ name: "x", value: x }, { name: "scale", value: scale }],
    output: { dtype: "float32", shape: x.shape },
    rows,
    width,
    functions: reader("x", x) + reader("scale", scale),
    code: `${inverseRms(width, epsilon)}
  if (here) { ${each(width, `result[start + i] = xAt(start + i) * inverse * (scaleAt(i) + ${literal(offset)});`)} }`,
  });
}

/** What normalizations need in addition to their operands. */
interface NormAttrs {
  readonly epsilon: number;
  readonly offset: number;
}

/** The gradient of root-mean-square normalization for its input: with g = ct · gain, r (g - x · r² · mean(g x)). */
export function rmsNormInputGradProgram(x: Value, scale: Value, ct: Value, { epsilon, offset }: NormAttrs): Program {
  const { rows, width } = rowsOf(x);
  return rowProgram({
    name: "rmsNorm input gradient",
    inputs: [{ name: "x", value: x }, { name: "scale", value: scale }, { name: "ct", value: ct }],
    output: { dtype: "float32", shape: x.shape },
    rows,
    width,
    functions: reader("x", x) + reader("scale", scale) + reader("ct", ct),
    code: `${inverseRms(width, epsilon)}
  var inner = 0.0;
  ${each(width, `inner += ctAt(start + i) * (scaleAt(i) + ${literal(offset)}) * xAt(start + i);`)}
  let shift = sumOf(inner) / ${width}.0 * inverse * inverse;
  if (here) {
    ${
      each(
        width,
        `result[start + i] = (ctAt(start + i) * (scaleAt(i) + ${literal(offset)}) - xAt(start + i) * shift) * inverse;`,
      )
    }
  }`,
  });
}

/** One over the root mean square of each row, [rows]. */
export function inverseRmsProgram(x: Value, epsilon: number): Program {
  const { rows, width } = rowsOf(x);
  return rowProgram({
    name: "inverse root mean square",
    inputs: [{ name: "x", value: x }],
    output: { dtype: "float32", shape: [rows] },
    rows,
    width,
    functions: reader("x", x),
    code: `${inverseRms(width, epsilon)}
  if (here && own == 0) { result[row] = inverse; }`,
  });
}

/** The gradient of root-mean-square normalization for its scale: Σ ct x r over rows, where r is given per row. */
export function rmsNormScaleGradProgram(x: Value, inverse: Value, ct: Value): Program {
  const { rows, width } = rowsOf(x);
  const [across, parts] = [16, 16];
  return {
    name: "rmsNorm scale gradient",
    inputs: [{ name: "x", value: x }, { name: "inverse", value: inverse }, { name: "ct", value: ct }],
    output: { dtype: "float32", shape: [width] },
    groups: [Math.ceil(width / across), 1, 1],
    groupSize: [across * parts, 1, 1],
    code: `${packedCode}${reader("x", x)}${reader("ct", ct)}
var<workgroup> sums : array<f32, ${across * parts}>;
fn main() {
  let column = i32(workgroupId.x) * ${across} + i32(localIndex) % ${across};
  let part = i32(localIndex) / ${across};
  var sum = 0.0;
  if (column < ${width}) {
    for (var row = part; row < ${rows}; row += ${parts}) {
      sum += xAt(row * ${width} + column) * ctAt(row * ${width} + column) * inverse[row];
    }
  }
  sums[localIndex] = sum;
  workgroupBarrier();
  if (part == 0 && column < ${width}) {
    for (var i = 1; i < ${parts}; i++) { sum += sums[i * ${across} + i32(localIndex)]; }
    result[column] = sum;
  }
}`,
  };
}

/** Softmax over the last axis. */
export function softmaxProgram(x: Value): Program {
  const { rows, width } = rowsOf(x);
  return rowProgram({
    name: "softmax",
    inputs: [{ name: "x", value: x }],
    output: { dtype: "float32", shape: x.shape },
    rows,
    width,
    functions: reader("x", x),
    code: `${logSumCode(width)}
  if (here) { ${each(width, "result[start + i] = exp(xAt(start + i) - largest) / total;")} }`,
  });
}

/** WGSL for the largest element of a row, and the sum of the exponentials of the elements less it. */
function logSumCode(width: number): string {
  return `var most = ${literal(-Infinity)};
  ${each(width, "most = max(most, xAt(start + i));")}
  let largest = maxOf(most);
  var sum = 0.0;
  ${each(width, "sum += exp(xAt(start + i) - largest);")}
  let total = sumOf(sum);`;
}

/** The negative log-probability of each label. */
export function crossEntropyProgram(logits: Value, labels: Value): Program {
  const { rows, width } = rowsOf(logits);
  return rowProgram({
    name: "crossEntropy",
    inputs: [{ name: "x", value: logits }, { name: "labels", value: labels }],
    output: { dtype: "float32", shape: labels.shape },
    rows,
    width,
    functions: reader("x", logits),
    code: `${logSumCode(width)}
  if (here && own == 0) { result[row] = log(total) + largest - xAt(start + labels[row]); }`,
  });
}

/** The gradient of the cross-entropy: softmax(logits) - onehot(label). */
export function crossEntropyGradProgram(logits: Value, labels: Value): Program {
  const { rows, width } = rowsOf(logits);
  return rowProgram({
    name: "crossEntropy gradient",
    inputs: [{ name: "x", value: logits }, { name: "labels", value: labels }],
    output: { dtype: "float32", shape: logits.shape },
    rows,
    width,
    functions: reader("x", logits),
    code: `${logSumCode(width)}
  let label = labels[row];
  if (here) {
    ${each(width, "result[start + i] = exp(xAt(start + i) - largest) / total - select(0.0, 1.0, i == label);")}
  }`,
  });
}

/** Rotary embedding: each pair (x[i], x[i + headDim/2]) turned by its position times its frequency. */
export function rotaryProgram(x: Value, positions: Value, frequencies: Value, inverse: boolean): Program {
  const headDim = x.shape[3]!;
  const half = headDim / 2;
  const token = stridesOf(x.shape)[1]!;
  return elementProgram({
    name: "rotaryEmbedding",
    inputs: [
      { name: "x", value: x },
      { name: "positions", value: positions },
      { name: "frequencies", value: frequencies },
    ],
    output: { dtype: "float32", shape: x.shape },
    code: `${mathCode}${reader("x", x)}
fn element(index : i32) -> f32 {
  let i = index % ${headDim};
  let angle = f32(positions[index / ${token}]) * frequencies[i % ${half}];
  let sine = ${inverse ? "-" : ""}turn(angle, 0);
  let cosine = turn(angle, 1);
  if (i < ${half}) { return xAt(index) * cosine - xAt(index + ${half}) * sine; }
  return xAt(index) * cosine + xAt(index - ${half}) * sine;
}`,
  });
}
