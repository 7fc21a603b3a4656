/**
 * Products for drivers that run programs on the processor, such as Mesa's llvmpipe.
 *
 * Such a driver has no memory that is faster than its other memory, a barrier costs it a change of context per eight threads, and
 * a read costs it as much as a dozen multiplications, be it of one number or of four. So each thread keeps a block of results in
 * variables, reads four numbers at a time, and shares nothing. Lengths and strides are given as numbers, so that a handful of
 * compiled programs serves all products.
 */

import type { Value } from "../../engine/engine.ts";
import { stridedIndex } from "../index_map.ts";
import type { Product, Side } from "./product.ts";
import { gridOf, type Program, type Uniform } from "../program.ts";

/** The rows and columns of a block, and of one where there are enough results to be worth longer compiling. */
const [small, large] = [8, 16];

/** How many rows, columns and contracted elements are enough. */
const [manyLines, muchInner] = [64, 64];

/** The most threads of a group, and how many groups keep every core at work. */
const [mostThreads, busyGroups] = [32, 16];

/** What a letter group is called in the code, with the sides that have it. */
type GroupName = "batch" | "rows" | "columns" | "inner";
type SideName = "a" | "b" | "out";

/** Neighboring letters that all sides walk as one: how many elements, and their stride in each side. */
interface Line {
  readonly length: number;
  readonly strides: readonly number[];
}

const sidesOf: Readonly<Record<GroupName, readonly SideName[]>> = {
  batch: ["a", "b", "out"],
  rows: ["a", "out"],
  columns: ["b", "out"],
  inner: ["a", "b"],
};

const groupNames = Object.keys(sidesOf) as GroupName[];
const range = (count: number) => [...Array(count).keys()];
const parts = ["x", "y", "z", "w"] as const;

/** The lines of a group; letters of length one are left out. */
function linesOf(letters: string, sides: readonly Side[], lengths: ReadonlyMap<string, number>): Line[] {
  const lines: Line[] = [];
  for (const letter of letters) {
    const length = lengths.get(letter)!;
    const strides = sides.map((side) => side.strides.get(letter)!);
    const before = lines.at(-1);
    if (length === 1) continue;
    if (before?.strides.every((stride, i) => stride === strides[i]! * length)) {
      lines[lines.length - 1] = { length: before.length * length, strides };
    } else lines.push({ length, strides });
  }
  return lines;
}

/** How a side is read or written: which of its groups four neighbors belong to; `null` where there are none. */
function vectorGroup(side: SideName, lines: Readonly<Record<GroupName, readonly Line[]>>): GroupName | null {
  const strideOf = (group: GroupName, line: Line) => line.strides[sidesOf[group].indexOf(side)]!;
  const groups = groupNames.filter((group) => sidesOf[group].includes(side));
  for (const group of groups) {
    const last = lines[group].at(-1);
    if (group === "batch" || last === undefined || last.length % 4 !== 0 || strideOf(group, last) !== 1) continue;
    const others = groups.flatMap((other) =>
      lines[other].filter((line) => line !== last).map((x) => strideOf(other, x))
    );
    if (others.every((stride) => stride % 4 === 0)) return group;
  }
  return null;
}

/** The program of a product of float32 tensors of which four neighbors can be read at once; `null` for others. */
export function blockProgram(product: Product): Program | null {
  const { groups, inputs, output, scaled, into, count } = product;
  const sides = { a: product.a, b: product.b, out: product.out };
  const lines = Object.fromEntries(groupNames.map((group) => [
    group,
    linesOf(groups[group], sidesOf[group].map((side) => sides[side]), groups.lengths),
  ])) as Record<GroupName, Line[]>;
  const [fromA, fromB, toOut] = [vectorGroup("a", lines), vectorGroup("b", lines), vectorGroup("out", lines)];
  const plain = inputs.length === 2 && inputs.every(({ value }) => isPlain(value));
  const [rows, columns, inner] = [count(groups.rows), count(groups.columns), count(groups.inner)];
  if (into !== undefined || !plain || fromA === null || fromB === null || inner % 4 !== 0) return null;

  const size = Math.min(rows, columns) >= manyLines && inner >= muchInner ? large : small;
  const uniforms: Uniform[] = Object.entries({ rows, columns, inner, across: Math.ceil(columns / size) })
    .map(([name, value]) => ({ name, type: "int32", value }));
  const number = (name: string, value: number) => {
    if (!uniforms.some((uniform) => uniform.name === name)) uniforms.push({ name, type: "int32", value });
    return `uniforms.${name}`;
  };
  /** WGSL for where in a side the element of a group stands that is chosen by an index. */
  const place = (side: SideName, group: GroupName, index: string) => {
    const strides = lines[group].map((line) => line.strides[sidesOf[group].indexOf(side)]!);
    if (strides.length === 0) return "0";
    if (strides.length > 1) return stridedIndex(`(${index})`, lines[group].map(({ length }) => length), strides);
    return strides[0] === 1 ? `(${index})` : `(${index}) * ${number(`${side}_${group}`, strides[0]!)}`;
  };

  const blocks = Math.ceil(rows / size) * Math.ceil(columns / size);
  const threads = Math.max(8, Math.min(mostThreads, 2 ** Math.floor(Math.log2(blocks / busyGroups))));
  const [perBatch, batches] = [Math.ceil(blocks / threads), count(groups.batch)];
  const { groups: grid } = gridOf(perBatch * batches);
  for (const [name, value] of Object.entries({ perBatch, batches, wide: grid[0] })) number(name, value);
  /** WGSL that reads what a step of four contracted elements takes of a factor. */
  const reads = (side: "a" | "b", along: GroupName) =>
    along === "inner"
      ? range(size).map((i) => `let ${side}${i} = ${side}[(${side}At${i} + ${place(side, "inner", "k")}) >> 2u];`)
      : range(4).flatMap((q) =>
        range(size / 4).map((v) =>
          `let ${side}${q}_${v} = ${side}[(${side}At${v} + ${place(side, "inner", `k + ${q}`)}) >> 2u];`
        )
      );
  const starts = (side: "a" | "b", line: "rows" | "columns", along: GroupName) =>
    along === "inner"
      ? range(size).map((i) =>
        `let ${side}At${i} = ${side}Batch + ${place(side, line, `min(${line}0 + ${i}, uniforms.${line} - 1)`)};`
      )
      : range(size / 4).map((v) =>
        `let ${side}At${v} = ${side}Batch + ${place(side, line, `min(${line}0 + ${4 * v}, uniforms.${line} - 4)`)};`
      );
  const left = (row: number, q: number) =>
    fromA === "inner" ? `a${row}.${parts[q]}` : `a${q}_${row >> 2}.${parts[row % 4]}`;
  const right = (q: number, v: number) =>
    fromB === "inner" ? `vec4<f32>(${range(4).map((j) => `b${4 * v + j}.${parts[q]}`).join(", ")})` : `b${q}_${v}`;
  const sums = range(size).flatMap((row) => range(size / 4).map((v) => ({ row, v, sum: `sum${row}_${v}` })));
  const outAt = (row: string, column: string) =>
    `outBatch + ${place("out", "rows", row)} + ${place("out", "columns", column)}`;
  const writes = toOut === "columns"
    ? sums.map(({ row, v, sum }) =>
      `if (rows0 + ${row} < uniforms.rows && columns0 + ${4 * v} < uniforms.columns) {
    result[(${outAt(`rows0 + ${row}`, `columns0 + ${4 * v}`)}) >> 2u] = ${scaled(sum)};
  }`
    )
    : toOut === "rows"
    ? range(size / 4).flatMap((w) =>
      range(size).map((column) =>
        `if (rows0 + ${4 * w} < uniforms.rows && columns0 + ${column} < uniforms.columns) {
    result[(${outAt(`rows0 + ${4 * w}`, `columns0 + ${column}`)}) >> 2u] = ${
          scaled(`vec4<f32>(${range(4).map((i) => `sum${4 * w + i}_${column >> 2}.${parts[column % 4]}`).join(", ")})`)
        };
  }`
      )
    )
    : sums.flatMap(({ row, v, sum }) =>
      range(4).map((j) =>
        `if (rows0 + ${row} < uniforms.rows && columns0 + ${4 * v + j} < uniforms.columns) {
    result[${outAt(`rows0 + ${row}`, `columns0 + ${4 * v + j}`)}] = ${scaled(`${sum}.${parts[j]}`)};
  }`
      )
    );
  const body = `fn main() {
  let group = i32(workgroupId.y) * uniforms.wide + i32(workgroupId.x);
  let batch = group / uniforms.perBatch;
  if (batch >= uniforms.batches) { return; }
  let block = group % uniforms.perBatch * ${threads} + i32(localIndex);
  let rows0 = block / uniforms.across * ${size};
  let columns0 = block % uniforms.across * ${size};
  let aBatch = ${place("a", "batch", "batch")};
  let bBatch = ${place("b", "batch", "batch")};
  let outBatch = ${place("out", "batch", "batch")};
  ${[...starts("a", "rows", fromA), ...starts("b", "columns", fromB)].join("\n  ")}
  ${sums.map(({ sum }) => `var ${sum} = vec4<f32>(0.0);`).join("\n  ")}
  for (var k = 0; k < uniforms.inner; k += 4) {
    ${[...reads("a", fromA), ...reads("b", fromB)].join("\n    ")}
    ${
    sums.map(({ row, v, sum }) => `${sum} += ${range(4).map((q) => `${left(row, q)} * ${right(q, v)}`).join(" + ")};`)
      .join("\n    ")
  }
  }
  ${writes.join("\n  ")}
}`;
  return {
    name: "matmul in blocks",
    inputs: inputs.map((input) => ({ ...input, vectors: true })),
    output,
    writesVectors: toOut === "columns" || toOut === "rows",
    groups: grid,
    groupSize: [threads, 1, 1],
    uniforms,
    code: body,
  };
}

function isPlain(value: Value): boolean {
  return value.parts === undefined && value.dtype === "float32";
}
