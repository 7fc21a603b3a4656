import assert from "node:assert/strict";
import { type BadCall, badCalls } from "../samples/bad_calls.ts";
import { type DType, dtypes, formatType, type TensorType } from "../values/dtype.ts";
import { allSamples } from "../testing.ts";
import { trace } from "../graph/trace.ts";
import type { Tensor } from "../graph/tensor.ts";
import { type OpName, opOf } from "./table.ts";

/** A type from its text, such as `float32[2,3]`. */
function type(text: string): TensorType {
  const [, dtype, lengths] = /^(\w+)\[([\d,]*)\]$/.exec(text)!;
  return { dtype: dtype as DType, shape: lengths === "" ? [] : lengths!.split(",").map(Number) };
}

for (const [op, cases] of Object.entries(badCalls) as [OpName, readonly BadCall<OpName>[]][]) {
  Deno.test(`infer() of ${op} says what does not fit`, () => {
    for (const [operands, attrs, name, message] of cases) {
      const types = operands.split(" ").filter(Boolean).map(type);
      assert.throws(() => opOf(op).infer(types, attrs as Record<string, unknown>), { name, message });
    }
  });
}

Deno.test("infer() takes every sample and gives well-formed types", () => {
  for (const { op, sample } of allSamples()) {
    const operands = (sample.operands as readonly { type: TensorType }[]).map((operand) => operand.type);
    for (const result of opOf(op).infer(operands, sample.attrs as Record<string, unknown>)) {
      assert.ok(dtypes.includes(result.dtype), `${op}: ${formatType(result)}`);
      assert.ok(
        result.shape.every((length) => Number.isInteger(length) && length >= 0),
        `${op}: ${formatType(result)}`,
      );
    }
  }
});

const x: TensorType = { shape: [2, 3], dtype: "float32" };

/** Runs a trace that fails and gives its error. */
function failure(body: (x: Tensor) => Tensor): Error {
  try {
    trace("bad", { x }, (inputs) => ({ y: body(inputs.x) }));
  } catch (error) {
    return error as Error;
  }
  throw new Error("The trace did not fail");
}

Deno.test("an error at trace time has the line that asked for the op on its stack", () => {
  function addWrongly(tensor: Tensor) {
    return tensor.add(tensor.transpose([1, 0]));
  }
  const error = failure((tensor) => addWrongly(tensor).exp());
  assert.equal(error.message, "Cannot add float32[2,3] and float32[3,2]: axis 0 of the result would be both 2 and 3");
  const line = error.stack!.split("\n").find((line) => line.includes("addWrongly"));
  assert.match(line ?? "", /infer_test\.ts/);
});

Deno.test("methods of a tensor say what does not fit", () => {
  const cases: readonly [body: (x: Tensor) => Tensor, name: string, message: string][] = [
    [(x) => x.sum(2), "RangeError", "Cannot reduce float32[2,3] along axis 2: it has 2 axes"],
    [(x) => x.sliceAxis(-3, 0, 1), "RangeError", "Cannot slice float32[2,3] along axis -3: it has 2 axes"],
    [
      (x) => x.reshape([4, -1]),
      "TypeError",
      "Cannot reshape float32[2,3] to [4,-1]: 6 elements are not a multiple of 4",
    ],
    [(x) => x.argMax(0).mean(), "TypeError", "Cannot mean int32[3]: it needs a floating-point tensor; cast it first"],
    [
      (x) => x.argMax(0).mul(0.5),
      "RangeError",
      "Cannot fill int32[] with 0.5: it is not an integer; cast to a float first",
    ],
  ];
  for (const [body, name, message] of cases) {
    const error = failure(body);
    assert.deepEqual([error.name, error.message], [name, message]);
  }
});
