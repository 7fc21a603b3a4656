/** Programs that compute each element of their result by itself, whatever its dtype and however it is stored. */

import { type DType, sizeOf, type TensorType } from "@tessera/core";
import { elementsPerWord, isPacked, type Value, wordsOf } from "../engine/engine.ts";
import { type Packed, packedCode, packedFunctions } from "./packed.ts";
import type { Program, ProgramInput, Uniform } from "./program.ts";

/** What an element is in a program: floats of any width are f32. */
export const elementTypes: Readonly<Record<DType, "f32" | "i32" | "bool">> = {
  float32: "f32",
  bfloat16: "f32",
  float16: "f32",
  int32: "i32",
  uint8: "i32",
  bool: "bool",
};

/** WGSL for the element of an input at a position. */
export function elementAt(name: string, dtype: DType, at: string): string {
  if (dtype === "bool") return `(${name}[${at}] != 0)`;
  if (!isPacked(dtype)) return `${name}[${at}]`;
  const place = /^\w+$/.test(at) ? at : `(${at})`;
  const { value, at: part } = packedFunctions[dtype as Packed];
  return `${value}(${part}(${name}[${place} / ${elementsPerWord(dtype)}], ${place}))`;
}

/** A program whose code has `fn element(index : i32)`, which returns the element of the result at a position. */
export interface ElementProgram {
  /** What it is, for people. */
  readonly name: string;
  /** The code of `element`. */
  readonly code: string;
  /** What it reads. */
  readonly inputs: readonly ProgramInput[];
  /** What it writes. */
  readonly output: TensorType;
  /** Numbers that differ between calls. */
  readonly uniforms?: readonly Uniform[];
}

/** The threads of a group, and how many words each writes where there are enough to keep a GPU busy. */
const [groupThreads, wordsPerThread, manyWords] = [64, 4, 2 ** 14];

/** The program that writes every element; one thread computes those that share a word. */
export function elementProgram({ code, ...program }: ElementProgram): Program {
  const { dtype, shape } = program.output;
  const [count, words] = [sizeOf(shape), wordsOf(program.output)];
  const each = words >= manyWords ? wordsPerThread : 1;
  return {
    ...program,
    threads: Math.ceil(words / each),
    groupSize: [groupThreads, 1, 1],
    code: `${packedCode}${code}
fn writeWord(at : i32) {
  ${isPacked(dtype) ? packedWord(dtype as Packed, count) : `result[at] = ${stored(dtype, "element(at)")};`}
}
fn main(index : i32) {
  let first = index / ${groupThreads} * ${groupThreads * each} + index % ${groupThreads};
  for (var at = first; at < min(${words}, first + ${groupThreads * each}); at += ${groupThreads}) { writeWord(at); }
}`,
  };
}

/** WGSL for an element as it is stored, where it takes a word of its own. */
function stored(dtype: DType, element: string): string {
  return dtype === "bool" ? `select(0, 1, ${element})` : element;
}

/** WGSL that writes a word of several elements. */
function packedWord(dtype: Packed, count: number): string {
  const parts = elementsPerWord(dtype);
  return `var word = 0u;
  for (var part = 0; part < ${parts} && at * ${parts} + part < ${count}; part++) {
    word = word | (${packedFunctions[dtype].bits}(element(at * ${parts} + part)) << u32(part * ${32 / parts}));
  }
  result[at] = bitcast<i32>(word);`;
}

/** A value in another dtype. */
export function castProgram(x: Value, dtype: DType): Program {
  const [from, to] = [elementTypes[x.dtype], elementTypes[dtype]];
  const element = elementAt("x", x.dtype, "index");
  return elementProgram({
    name: "cast",
    inputs: [{ name: "x", value: x }],
    output: { dtype, shape: x.shape },
    code: `fn element(index : i32) -> ${to} { return ${from === to ? element : `${to}(${element})`}; }`,
  });
}
