/** Programs that compute each element of their result by itself, whatever its dtype and however it is stored. */

import { type DType, sizeOf, type TensorType } from "@tessera/core";
import { elementsPerWord, isPacked, type Value } from "../engine.ts";
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

/** The program that writes every element; one thread computes those that share a word. */
export function elementProgram({ code, ...program }: ElementProgram): Program {
  const { dtype, shape } = program.output;
  const count = sizeOf(shape);
  if (!isPacked(dtype)) {
    const stored = dtype === "bool" ? "select(0, 1, element(index))" : "element(index)";
    return {
      ...program,
      code: `${packedCode}${code}
fn main(index : i32) {
  if (index < ${count}) { result[index] = ${stored}; }
}`,
    };
  }
  const parts = elementsPerWord(dtype);
  const { bits } = packedFunctions[dtype as Packed];
  return {
    ...program,
    code: `${packedCode}${code}
fn main(index : i32) {
  if (index * ${parts} >= ${count}) { return; }
  var word = 0u;
  for (var part = 0; part < ${parts} && index * ${parts} + part < ${count}; part++) {
    word = word | (${bits}(element(index * ${parts} + part)) << u32(part * ${32 / parts}));
  }
  result[index] = bitcast<i32>(word);
}`,
  };
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
