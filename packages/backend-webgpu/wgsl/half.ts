/** float16 and bfloat16 in WGSL, two elements to a 32-bit word, without the optional f16 extension. */

import { type DType, sizeOf } from "@tessera/core";
import type { Value } from "../engine.ts";
import type { Program } from "./program.ts";

/** The names of the functions that read and make the bits of a dtype. */
export const halfFunctions = {
  float16: { value: "float16Value", bits: "float16Bits" },
  bfloat16: { value: "bfloat16Value", bits: "bfloat16Bits" },
} as const;

/**
 * Conversions, rounding to nearest and ties to even. They are written with integers because WGSL leaves the rounding of
 * its own `pack2x16float` open.
 */
export const halfCode = `
fn bfloat16Value(bits : u32) -> f32 { return bitcast<f32>(bits << 16u); }
fn bfloat16Bits(x : f32) -> u32 {
  let bits = bitcast<u32>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) { return (bits >> 16u) | 0x40u; }
  return (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;
}
fn float16Value(bits : u32) -> f32 { return unpack2x16float(bits).x; }
fn float16Bits(x : f32) -> u32 {
  let bits = bitcast<u32>(x);
  let sign = (bits >> 16u) & 0x8000u;
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) { return sign | 0x7e00u; }
  if (magnitude >= 0x477ff000u) { return sign | 0x7c00u; }
  if (magnitude < 0x38800000u) {
    // Below the smallest normal float16: a multiple of 2^-24.
    return sign | u32(round(bitcast<f32>(magnitude) * 16777216.0));
  }
  let moved = magnitude - 0x38000000u;
  return sign | ((moved + 0xfffu + ((moved >> 13u) & 1u)) >> 13u);
}
fn half(word : i32, place : i32) -> u32 { return (bitcast<u32>(word) >> (u32(place & 1) * 16u)) & 0xffffu; }
`;

type Half = keyof typeof halfFunctions;

/** The float32 elements of a packed value. */
export function widenProgram(x: Value): Program {
  const count = sizeOf(x.shape);
  const { value } = halfFunctions[x.dtype as Half];
  return {
    name: "widen",
    inputs: [{ name: "x", value: x }],
    output: { dtype: "float32", shape: x.shape },
    uniforms: [{ name: "count", type: "int32", value: count }],
    code: `${halfCode}
fn main(index : i32) {
  if (index >= uniforms.count) { return; }
  result[index] = ${value}(half(x[index / 2], index));
}`,
  };
}

/** float32 elements rounded and packed. */
export function narrowProgram(x: Value, dtype: DType): Program {
  const count = sizeOf(x.shape);
  const { bits } = halfFunctions[dtype as Half];
  return {
    name: "narrow",
    inputs: [{ name: "x", value: x }],
    output: { dtype, shape: x.shape },
    uniforms: [{ name: "count", type: "int32", value: count }],
    code: `${halfCode}
fn main(index : i32) {
  if (index * 2 >= uniforms.count) { return; }
  var word = ${bits}(x[index * 2]);
  if (index * 2 + 1 < uniforms.count) { word = word | (${bits}(x[index * 2 + 1]) << 16u); }
  result[index] = bitcast<i32>(word);
}`,
  };
}
