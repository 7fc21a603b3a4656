/** Every program, thread by thread: no race, no barrier that some threads miss, nothing read that nobody wrote, no place outside. */
import assert from "node:assert/strict";
import { assertAgrees, programCases } from "@tessera/backend-webgpu/testing";
import { outlineArray, SharedArray } from "./memory.ts";
import { runThreads } from "./run_threads.ts";
import { slowBackend } from "./slow_backend.ts";
import { translate } from "./translate.ts";

for (const one of programCases) {
  Deno.test(`${one.name}, thread by thread`, () => assertAgrees(slowBackend(one), one));
}

/** Runs two groups of four threads, and gives what they write, twelve numbers. */
function run(code: string): number[] {
  const result = new SharedArray("result", new Int32Array(12), 1);
  const translation = translate(code, { result: "i32" }, { localIndex: "u32", workgroupId: "vec3<u32>" });
  runThreads({ translation, arrays: { result }, uniforms: {}, groups: [2, 1, 1], groupSize: 4 });
  return [...result.words];
}

const shared = `var<workgroup> sums : array<vec4<f32>, 2 * 2>;
var<workgroup> most : atomic<i32>;
var<workgroup> agreed : i32;
fn at() -> i32 { return i32(workgroupId.x) * 4 + i32(localIndex); }`;

Deno.test("Threads run from barrier to barrier", () => {
  assert.deepEqual(
    run(`${shared}
const times = 3;
fn total(x : f32) -> f32 {
  sums[localIndex] = vec4<f32>(x, 1.0, 0.0, 0.0);
  workgroupBarrier();
  var y = vec4<f32>(0.0);
  for (var i = 0u; i < 4u; i++) { y += sums[i]; }
  workgroupBarrier();
  return dot(y, vec4<f32>(1.0)) * select(2.0, f32(times), y[1] == 4.0);
}
fn main() {
  if (localIndex == 0u) { atomicStore(&most, -7 / 2); }
  workgroupBarrier();
  atomicMax(&most, at());
  workgroupBarrier();
  if (localIndex == 3u) { agreed = atomicLoad(&most) + 1; }
  let limit = workgroupUniformLoad(&agreed);
  result[at()] = i32(total(f32(at()))) + 100 * limit;
  if (at() < 4) { result[8 + at()] = bitcast<i32>(0xffffffffu >> 30u); }
}`),
    [430, 430, 430, 430, 878, 878, 878, 878, 3, 3, 3, 3],
  );
});

const mistakes: Readonly<Record<string, readonly [main: string, message: RegExp]>> = {
  "reading what another thread writes": [
    "sums[localIndex] = vec4<f32>(1.0); result[at()] = i32(sums[(localIndex + 1u) % 4u].x);",
    /reads sums\[1\], which nobody wrote/,
  ],
  "writing again before all have read": [
    `sums[localIndex] = vec4<f32>(1.0);
    workgroupBarrier();
    result[at()] = i32(sums[(localIndex + 1u) % 4u].x);
    sums[localIndex] = vec4<f32>(2.0);`,
    /Race: thread 2 reads sums\[3\], which thread 3 wrote/,
  ],
  "writing components of one vector": ["sums[0][localIndex] = 1.0;", /Race: thread 1 writes sums\[0\]/],
  "writing one element of the result from two groups": [
    "result[localIndex] = 1;",
    /Race: thread 4 writes result\[0\], which thread 0 wrote/,
  ],
  "a barrier that some threads miss": [
    "if (localIndex < 2u) { workgroupBarrier(); }",
    /wait for each other at barrier 1 and at the end/,
  ],
  "reading shared memory that the group before wrote": [
    `if (workgroupId.x == 0u) { sums[localIndex] = vec4<f32>(1.0); }
    workgroupBarrier();
    result[at()] = i32(sums[localIndex].x);`,
    /Thread 7 reads sums\[3\], which nobody wrote/,
  ],
  "a place outside of an array": ["result[at() * 2] = 1;", /result\[12\] is outside: it has 12 elements/],
};
for (const [mistake, [main, message]] of Object.entries(mistakes)) {
  Deno.test(`Threads that run one after the other refuse ${mistake}`, () => {
    assert.throws(() => run(`${shared}\nfn main() { ${main} }`), message);
  });
}

Deno.test("Without data, places beyond an i32 or an array are found in the last round of a loop", () => {
  const check = (main: string) =>
    runThreads({
      translation: translate(`fn main(index : i32) { ${main} }`, { result: "i32" }, {}),
      arrays: { result: outlineArray("result", 2 ** 30, 1) },
      uniforms: {},
      groups: [65535, 1, 1],
      groupSize: 64,
      outline: true,
    });
  check("for (var i = index; i < 1073741824; i += 4194240) { result[i] = 1; }");
  assert.throws(() => check("for (var i = 0; i <= 1073741824; i += 1073741824) { result[i] = 1; }"), /is outside/);
  assert.throws(() => check("for (var i = index; i < 1073741824; i++) { result[i * 3 / 3] = 1; }"), /is no i32/);
  assert.throws(() => check("result[index * 513 / 513] = 1;"), /is no i32/);
});
