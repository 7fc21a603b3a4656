/** Functions that WGSL lacks or does not define well enough. */

/**
 * WGSL promises little of its functions: a tanh may overflow, what overflows may be anything, a power of a negative number is undefined, a
 * power is good to a few digits, and sine and cosine are only good near zero. Angles are brought to within π/4 of a multiple q of π/2 in three steps (Cody and Waite, 1980), and the
 * polynomials are those of Cephes' sinf and cosf (Moshier), good to a unit in the last place.
 */
export const mathCode = `
fn safeTanh(x : f32) -> f32 {
  let e = exp(-2.0 * abs(x));
  let small = x * x;
  let series = x * (1.0 + small * (-0.33333333 + small * (0.13333333 - small * 0.053968254)));
  return select(sign(x) * (1.0 - e) / (1.0 + e), series, abs(x) < 0.1);
}
fn safeSigmoid(x : f32) -> f32 {
  let e = exp(-abs(x));
  return select(e, 1.0, x >= 0.0) / (1.0 + e);
}
fn power(a : f32, b : f32) -> f32 {
  if (b == 0.0 || a == 1.0) { return 1.0; }
  if (a == 0.0) { return select(0.0, uniforms.INFINITY, b < 0.0); }
  let size = pow(abs(a), b);
  if (a > 0.0) { return size; }
  if (b != floor(b)) { return uniforms.NAN; }
  return select(size, -size, b - 2.0 * floor(b * 0.5) != 0.0);
}
fn integerPower(a : i32, b : i32) -> i32 {
  if (b < 0) { return i32(round(power(f32(a), f32(b)))); }
  var result = 1;
  var square = a;
  for (var left = b; left > 0; left = left / 2) {
    if (left % 2 == 1) { result = result * square; }
    square = square * square;
  }
  return result;
}
fn turn(x : f32, quarters : i32) -> f32 {
  let q = round(x * 0.63661977);
  // A compiler may put other steps in another order.
  let r = fma(-q, 7.54978995489188216e-8, fma(-q, 4.837512969970703125e-4, fma(-q, 1.5703125, x)));
  let z = r * r;
  let sine = r + r * z * (-1.6666654611e-1 + z * (8.3321608736e-3 - z * 1.9515295891e-4));
  let cosine = 1.0 - 0.5 * z + z * z * (4.166664568298827e-2 + z * (-1.388731625493765e-3 + z * 2.443315711809948e-5));
  let quadrant = (i32(q) + quarters) & 3;
  let value = select(sine, cosine, (quadrant & 1) == 1);
  return select(value, -value, quadrant >= 2);
}
`;

/** `safeTanh` and `safeSigmoid` for four elements at once. */
export const vectorMathCode = `
fn safeTanh4(x : vec4<f32>) -> vec4<f32> {
  let e = exp(-2.0 * abs(x));
  let small = x * x;
  let series = x * (1.0 + small * (-0.33333333 + small * (0.13333333 - small * 0.053968254)));
  return select(sign(x) * (1.0 - e) / (1.0 + e), series, abs(x) < vec4<f32>(0.1));
}
fn safeSigmoid4(x : vec4<f32>) -> vec4<f32> {
  let e = exp(-abs(x));
  return select(e, vec4<f32>(1.0), x >= vec4<f32>(0.0)) / (1.0 + e);
}
`;
