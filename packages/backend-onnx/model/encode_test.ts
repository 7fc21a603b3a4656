import assert from "node:assert/strict";
import { fromBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import type { OnnxModel } from "./description.ts";
import { encodeModel } from "./encode.ts";
import { initializer, initializerValues } from "./initializer.ts";
import { printModel } from "./print.ts";

const model: OnnxModel = {
  name: "small",
  inputs: [{ name: "x", dtype: "float32", shape: [2, 3] }],
  outputs: [{ name: "y", dtype: "float32", shape: [2, 3] }],
  initializers: [initializer("c", "float32", [], [0.5]), initializer("axes", "int64", [1], [-1])],
  nodes: [
    {
      op: "QuickGelu",
      domain: "com.microsoft",
      inputs: ["x"],
      outputs: [{ name: "h", dtype: "float32", shape: [2, 3] }],
      attributes: { alpha: { float: 1.5 } },
    },
    {
      op: "Clip",
      domain: "",
      inputs: ["h", "", "c"],
      outputs: [{ name: "y", dtype: "float32", shape: [2, 3] }],
      attributes: { number: 3, text: "tanh", list: [1, -2] },
    },
  ],
};

Deno.test("encodeModel() writes what the ONNX schema reads back", () => {
  const message = fromBinary(ModelProtoSchema, encodeModel(model));
  assert.deepEqual(message.opsetImport.map(({ domain, version }) => [domain, version]), [["", 24n], [
    "com.microsoft",
    1n,
  ]]);
  const graph = message.graph!;
  assert.deepEqual(graph.node.map(({ opType, domain, input, output }) => [opType, domain, input, output]), [
    ["QuickGelu", "com.microsoft", ["x"], ["h"]],
    ["Clip", "", ["h", "", "c"], ["y"]],
  ]);
  const [alpha] = graph.node[0]!.attribute;
  assert.deepEqual([alpha!.name, alpha!.f], ["alpha", 1.5]);
  const [number, text, list] = graph.node[1]!.attribute;
  assert.deepEqual([number!.i, new TextDecoder().decode(text!.s), list!.ints], [3n, "tanh", [1n, -2n]]);
  assert.deepEqual(graph.initializer.map(({ name, dims, dataType }) => [name, dims, dataType]), [["c", [], 1], [
    "axes",
    [1n],
    7,
  ]]);
});

Deno.test("printModel() shows constants, omitted inputs and attributes", () => {
  assert.equal(
    printModel(model),
    [
      "small {",
      "  input x: float32[2,3]",
      "  c: float32[] = 0.5",
      "  h: float32[2,3] = QuickGelu(x) {alpha: 1.5f}",
      "  y: float32[2,3] = Clip(h, _, c) {number: 3, text: tanh, list: [1,-2]}",
      "  output y: float32[2,3]",
      "}",
    ].join("\n"),
  );
});

Deno.test("initializerValues() reads back what initializer() stores", () => {
  for (
    const dtype of ["float32", "bfloat16", "float16", "int32", "int64", "int8", "uint8", "bool", "float64"] as const
  ) {
    assert.deepEqual(initializerValues(initializer("c", dtype, [3], [0, 1, 1])), [0, 1, 1], dtype);
  }
});
