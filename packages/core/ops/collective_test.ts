import assert from "node:assert/strict";
import { formatType, type TensorType } from "../values/dtype.ts";
import type { Attrs } from "../graph/tensor.ts";
import { collectives } from "./collective.ts";
import { isCollective, isComposite, isOpName, type OpName, opOf, primitives } from "./table.ts";

const group = { meshAxes: ["model"], size: 2 };
const x: TensorType = { shape: [4, 6], dtype: "float32" };

function infer(op: OpName, operands: readonly TensorType[], attrs: Attrs): string[] {
  return opOf(op).infer(operands, attrs).map(formatType);
}

Deno.test("collectives are ops of a third kind", () => {
  for (const op of Object.keys(collectives)) {
    assert.ok(isOpName(op) && isCollective(op) && !isComposite(op) && !Object.hasOwn(primitives, op));
  }
  assert.ok(!isCollective("add"));
});

Deno.test("collectives infer the types of one device's parts", () => {
  const scalar: TensorType = { shape: [], dtype: "bfloat16" };
  assert.deepEqual(infer("allReduce", [x, scalar], { ...group, reduce: "sum" }), ["float32[4,6]", "bfloat16[]"]);
  assert.deepEqual(infer("allGather", [x], { ...group, axis: 1 }), ["float32[4,12]"]);
  assert.deepEqual(infer("reduceScatter", [x], { ...group, axis: 0 }), ["float32[2,6]"]);
  assert.deepEqual(infer("allToAll", [x], { ...group, splitAxis: 0, concatAxis: 1 }), ["float32[2,12]"]);
  assert.deepEqual(infer("shardSlice", [x], { ...group, axis: 1 }), ["float32[4,3]"]);
  assert.deepEqual(infer("deviceIndex", [], group), ["int32[]"]);
});

Deno.test("collectives refuse what does not divide, axes that do not exist, and truth values", () => {
  assert.throws(() => infer("shardSlice", [x], { meshAxes: ["model"], size: 4, axis: 1 }), {
    name: "RangeError",
    message: "Cannot shardSlice float32[4,6] along axis 1 over 4 devices: 6 is not divisible by 4",
  });
  assert.throws(() => infer("allGather", [x], { ...group, axis: 2 }), {
    name: "RangeError",
    message: "Cannot allGather float32[4,6] along axis 2: it has 2 axes",
  });
  assert.throws(() => infer("allReduce", [{ shape: [2], dtype: "bool" }], { ...group, reduce: "sum" }), {
    name: "TypeError",
    message: "Cannot allReduce bool[2]: cast it to a number first",
  });
  assert.throws(() => infer("allReduce", [], { ...group, reduce: "sum" }), {
    name: "TypeError",
    message: "Cannot allReduce no tensors: give at least one",
  });
});
