/** Programs in WGSL, in the form in which tfjs's `runWebGPUProgram` takes them. */

import { sizeOf, type TensorType } from "@tessera/core";
import type { WebGPUProgram } from "@tensorflow/tfjs-backend-webgpu";
import { storedShape, type Value } from "../engine/engine.ts";

/** A tensor that a program reads, under the name by which its code indexes it: an array of f32 or i32. */
export interface ProgramInput {
  /** The name in the code. */
  readonly name: string;
  /** The tensor. */
  readonly value: Value;
  /** Whether the code reads it four elements at a time: an array of vec4. */
  readonly vectors?: boolean;
}

/** A number that a program is given without being compiled for it. */
export interface Uniform {
  /** Its name: `uniforms.name` in the code. */
  readonly name: string;
  /** Its type. */
  readonly type: "int32" | "float32";
  /** The number. */
  readonly value: number;
}

/** A program, what it reads, and what it writes. */
export interface Program {
  /** What it is, for people. */
  readonly name: string;
  /**
   * Its code: `fn main(index : i32)`, called once per thread, or, where `groups` is given, `fn main()`, which finds itself
   * by `workgroupId`, `localId` and `localIndex`. It writes `result`.
   */
  readonly code: string;
  /** What it reads. */
  readonly inputs: readonly ProgramInput[];
  /** What it writes, all of it. */
  readonly output: TensorType;
  /** Whether it writes four elements at a time: `result` is an array of vec4. */
  readonly writesVectors?: boolean;
  /** A value whose content the program finds in the result; a copy of it is written unless `inPlace`. */
  readonly into?: Value;
  /** Whether that value itself is written, since nobody else has it. */
  readonly inPlace?: boolean;
  /** Numbers that differ between calls. */
  readonly uniforms?: readonly Uniform[];
  /** How many threads there are, for code of the first kind; one per element written unless given. */
  readonly threads?: number;
  /** How many groups of threads there are along each axis, for code of the second kind. */
  readonly groups?: readonly [number, number, number];
  /** How many threads a group has along each axis. */
  readonly groupSize?: readonly [number, number, number];
  /**
   * How many multiplications it does, where these may be so many that a GPU would be taken for hung: then it runs in pieces, of which each
   * is told the number of its first group, `uniforms.firstGroup`.
   */
  readonly work?: number;
}

/** A part of a program's groups. */
export interface Piece {
  /** How many groups it has along each axis. */
  readonly groups: readonly [number, number, number];
  /** The number of its first group. */
  readonly firstGroup: number;
}

/**
 * A program in pieces of about so many multiplications at most; one, where there is no need for more. Systems stop a GPU that works on one
 * thing for longer than some seconds, and the slowest in use do a few 10^10 multiplications in one.
 */
export function piecesOf(program: Program, mostWork: number = 2 ** 35): readonly Piece[] {
  const { groups, work = 0 } = program;
  const count = Math.ceil(work / mostWork);
  if (groups === undefined || count <= 1) return [{ groups: groups ?? [1, 1, 1], firstGroup: 0 }];
  const [wide, high] = groups;
  const [lines, perLine] = high > 1 ? [high, wide] : [wide, 1];
  const each = Math.ceil(lines / count);
  return Array.from({ length: Math.ceil(lines / each) }, (_, i) => {
    const own = Math.min(each, lines - i * each);
    return { groups: high > 1 ? [wide, own, 1] : [own, 1, 1], firstGroup: i * each * perLine };
  });
}

const wgslTypes = { int32: "i32", float32: "f32" } as const;

/** A program as tfjs takes it. Compiled pipelines are kept by tfjs, by the code. */
export function webgpuProgram(program: Program): WebGPUProgram {
  const { name, code, inputs, output, uniforms = [], groups, groupSize = [64, 1, 1] } = program;
  const outputShape = [sizeOf(storedShape(output))];
  const threads = program.threads ?? outputShape[0]!;
  const flat = groups === undefined;
  // A binding that the code does not mention has no place in the pipeline's layout, and tfjs always binds the uniforms.
  const whole = `${code}\nfn touch() { _ = uniforms.NAN; }`.replace(
    /fn main\((.*?)\) \{/,
    (head) => `${head} touch();`,
  );
  return {
    variableNames: inputs.map((input) => input.name),
    uniforms: uniforms.map((uniform) => ` ${uniform.name} : ${wgslTypes[uniform.type]},`).join(""),
    variableComponents: inputs.map(({ vectors }) => vectors === true ? 4 : 1),
    outputComponent: program.writesVectors === true ? 4 : 1,
    outputShape,
    workgroupSize: [...groupSize],
    // Layouts with a second axis make tfjs call main() without an index.
    dispatchLayout: flat ? { x: [0] } : { x: [0], y: [0] },
    dispatch: flat ? [Math.ceil(threads / groupSize[0]), 1, 1] : [...groups],
    shaderKey: `${name} ${code}`,
    getUserCode: () => whole,
  };
}

/** A program that changes float32 tensors of one size in place. */
export interface UpdateProgram {
  /** What it is, for people. */
  readonly name: string;
  /** Its code: `fn update(i : u32)`, called once per element. */
  readonly code: string;
  /** What it changes, which nobody else has. */
  readonly changed: readonly ProgramInput[];
  /** What it reads in addition. */
  readonly inputs: readonly ProgramInput[];
}

/** The threads of a group of an update, and the most groups that WebGPU promises. */
const [updateThreads, mostGroups] = [64, 65535];

/** How many groups of threads an update of so many elements has. */
export function updateGroups(count: number): number {
  return Math.min(Math.ceil(count / updateThreads), mostGroups);
}

/** The whole code of an update. Lengths are those of what is bound, so that one pipeline serves all sizes. */
export function updateCode({ code, changed, inputs }: UpdateProgram): string {
  const binding = (access: string) => ({ name }: ProgramInput, at: number) =>
    `@group(0) @binding(${at}) var<storage, ${access}> ${name} : array<f32>;`;
  return `${changed.map(binding("read_write")).join("\n")}
${inputs.map((input, i) => binding("read")(input, changed.length + i)).join("\n")}
${code}
@compute @workgroup_size(${updateThreads})
fn main(@builtin(global_invocation_id) id : vec3<u32>, @builtin(num_workgroups) groups : vec3<u32>) {
  for (var i = id.x; i < arrayLength(&${changed[0]!.name}); i += groups.x * ${updateThreads}u) { update(i); }
}`;
}

/** The most groups of a row of a grid. */
const widestGrid = 2 ** 15;

/**
 * Some groups of threads, in rows, since WebGPU promises only 65,535 along an axis; and WGSL for a group's number, which for the last
 * few is beyond the count.
 */
export function gridOf(count: number): { readonly groups: readonly [number, number, number]; readonly group: string } {
  const wide = Math.min(count, widestGrid);
  return {
    groups: [wide, Math.ceil(count / wide), 1],
    group: `(i32(workgroupId.y) * ${wide} + i32(workgroupId.x))`,
  };
}

/** A number as WGSL reads it back exactly. */
export function literal(value: number, type: "f32" | "i32" = "f32"): string {
  if (type === "i32") return value === -(2 ** 31) ? "(-2147483647 - 1)" : `${value}`;
  if (value === Infinity) return "uniforms.INFINITY";
  if (value === -Infinity) return "(-uniforms.INFINITY)";
  if (Number.isNaN(value)) return "uniforms.NAN";
  return `bitcast<f32>(0x${new Uint32Array(Float32Array.of(value).buffer)[0]!.toString(16)}u)`;
}
