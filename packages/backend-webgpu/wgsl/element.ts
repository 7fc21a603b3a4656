/** Programs that compute each element of their result by itself, whatever its dtype and however it is stored. */

import { type DType, sizeOf, type TensorType } from "@tessera/core";
import { isPacked } from "../engine.ts";
import { halfCode, halfFunctions } from "./half.ts";
import type { Program, ProgramInput, Uniform } from "./program.ts";

/** What an element is in a program: floats of any width are f32. */
export const elementTypes: Readonly<Record<DType, "f32" | "i32" | "bool">> = {
  float32: "f32",
  bfloat16: "f32",
  float16: "f32",
  int32: "i32",
  bool: "bool",
};

/** WGSL for the element of an input at a position. */
export function elementAt(name: string, dtype: DType, at: string): string {
  if (dtype === "bool") return `(${name}[${at}] != 0)`;
  if (!isPacked(dtype)) return `${name}[${at}]`;
  const place = /^\w+$/.test(at) ? at : `(${at})`;
  return `${halfFunctions[dtype as "float16"].value}(half(${name}[${place} / 2], ${place}))`;
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

/** The program that writes every element; where two share a word, one thread computes both. */
export function elementProgram({ code, ...program }: ElementProgram): Program {
  const { dtype, shape } = program.output;
  const count = sizeOf(shape);
  if (!isPacked(dtype)) {
    const stored = dtype === "bool" ? "select(0, 1, element(index))" : "element(index)";
    return {
      ...program,
      code: `${halfCode}${code}
fn main(index : i32) {
  if (index < ${count}) { result[index] = ${stored}; }
}`,
    };
  }
  const { bits } = halfFunctions[dtype as "float16"];
  return {
    ...program,
    code: `${halfCode}${code}
fn main(index : i32) {
  if (index * 2 >= ${count}) { return; }
  var word = ${bits}(element(index * 2));
  if (index * 2 + 1 < ${count}) { word = word | (${bits}(element(index * 2 + 1)) << 16u); }
  result[index] = bitcast<i32>(word);
}`,
  };
}
