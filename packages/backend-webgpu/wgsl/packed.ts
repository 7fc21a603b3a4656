/** float16, bfloat16 and uint8 in WGSL, several elements to a 32-bit word, without the optional f16 extension. */

/** The names of the functions that read and make the bits of a dtype. */
export const packedFunctions = {
  float16: { value: "float16Value", bits: "float16Bits", at: "half" },
  bfloat16: { value: "bfloat16Value", bits: "bfloat16Bits", at: "half" },
  uint8: { value: "i32", bits: "byteBits", at: "byte" },
} as const;

/** A dtype whose elements are stored several to a word. */
export type Packed = keyof typeof packedFunctions;

/**
 * Conversions, rounding to nearest and ties to even. They are written with integers because WGSL leaves the rounding of
 * its own `pack2x16float` open.
 */
export const packedCode = `
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
fn byteBits(x : i32) -> u32 { return u32(x) & 0xffu; }
fn byte(word : i32, place : i32) -> u32 { return (bitcast<u32>(word) >> (u32(place & 3) * 8u)) & 0xffu; }
fn half(word : i32, place : i32) -> u32 { return (bitcast<u32>(word) >> (u32(place & 1) * 16u)) & 0xffffu; }
`;
