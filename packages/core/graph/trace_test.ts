import assert from "node:assert/strict";
import { einsum, full, type Graph, graphInput, softmax, type Tensor, trace, verify } from "../mod.ts";

const x = { shape: [2, 3], dtype: "float32" } as const;

Deno.test("trace() records inputs, nodes and outputs in the order in which they were made", () => {
  const graph = verify(trace("order", { x, y: x }, ({ x, y }) => {
    const late = graphInput("late", { shape: [], dtype: "float32" });
    return { sum: x.add(y).mul(late), first: x };
  }));
  assert.deepEqual(graph.inputNames, ["x", "y", "late"]);
  assert.deepEqual(graph.outputNames, ["sum", "first"]);
  assert.deepEqual(graph.nodes.map((node) => node.op), ["add", "mul"]);
  assert.equal(graph.outputs[1], graph.inputs[0]);
});

Deno.test("trace() makes scalars of numbers in the dtype of the other operand", () => {
  const graph = trace("scalars", { x: { shape: [2], dtype: "bfloat16" } }, ({ x }) => ({ y: x.add(1) }));
  assert.deepEqual(graph.nodes[0]!.attrs, { shape: [], dtype: "bfloat16", value: 1 });
});

Deno.test("trace() may be called while another graph is traced", () => {
  const outer = trace("outer", { x }, ({ x }) => {
    const inner = trace("inner", { x: { shape: [], dtype: "float32" } }, (own) => ({ y: own.x.exp() }));
    assert.equal(inner.nodes.length, 1);
    return { y: x.tanh() };
  });
  assert.deepEqual(outer.nodes.map((node) => node.op), ["tanh"]);
});

Deno.test("trace() ends when its function throws", () => {
  assert.throws(() =>
    trace("failing", { x }, () => {
      throw new RangeError("Cannot continue");
    })
  );
  assert.throws(() => full([], 1), {
    name: "TypeError",
    message: 'Cannot apply "full": nothing is being traced; call it inside the function given to trace()',
  });
});

Deno.test("graphInput() refuses a name that is taken, and to work outside a trace", () => {
  assert.throws(() => trace("twice", { x }, (o) => ({ y: o.x, z: graphInput("x", x) })), {
    name: "TypeError",
    message: 'Cannot add graph input "x": the graph has an input of that name already',
  });
  assert.throws(() => graphInput("x", x), {
    name: "TypeError",
    message: 'Cannot add graph input "x": nothing is being traced; call it inside the function given to trace()',
  });
});

/** Two nodes after each other. */
const graph = trace("good", { x }, ({ x }) => ({ y: softmax(x).exp() }));

Deno.test("verify() gives back a graph that is well formed", () => {
  assert.equal(verify(graph), graph);
});

for (
  const [what, broken] of Object.entries<Graph>({
    "after a test: node 0 (exp): operand 0, float32[2,3], is read before it is defined": {
      ...graph,
      nodes: graph.nodes.slice(1),
    },
    "after a test: node 1 (softmax): result 0 is defined twice": {
      ...graph,
      nodes: [graph.nodes[0]!, graph.nodes[0]!],
    },
    "after a test: node 0 (sum): result 0 is float32[2,3], the op infers float32[3]": {
      ...graph,
      nodes: [{ ...graph.nodes[0]!, op: "sum", attrs: { axes: [0], keepDims: false } }],
    },
    "after a test: node 0 (softmax): result 0 does not point back at its node": {
      ...graph,
      nodes: [{ ...graph.nodes[0]! }],
    },
    'after a test: output "y" is never defined': { ...graph, nodes: [] },
    'after a test: two outputs are named "y"': {
      ...graph,
      outputs: [graph.inputs[0]!, graph.inputs[0]!],
      outputNames: ["y", "y"],
    },
    "after a test: 1 inputs have 0 names": { ...graph, inputNames: [] },
    "after a test: node 0 (nonsense): there is no such op": {
      ...graph,
      nodes: [{ ...graph.nodes[0]!, op: "nonsense" as "softmax" }],
    },
  })
) {
  Deno.test(`verify() finds what is wrong ${what}`, () => {
    const message = `Graph "good" is not well formed ${what}`;
    assert.throws(() => verify(broken, "a test"), { name: "Error", message });
  });
}

Deno.test("an op is not to be mistaken for JavaScript's own properties", () => {
  const broken: Graph = { ...graph, nodes: [{ ...graph.nodes[0]!, op: "toString" as "softmax" }] };
  assert.throws(() => verify(broken), /there is no such op/);
});

Deno.test("methods of a tensor infer shapes", () => {
  const shapes: Record<string, (x: Tensor) => Tensor> = {
    "2": (x) => x.sum(-1),
    "2,1": (x) => x.max(-1, { keepDims: true }),
    "": (x) => x.mean(),
    "3,2": (x) => x.reshape([-1, 2]),
    "2,2": (x) => x.sliceAxis(-1, 0, 2),
    "5,2,3": (x) => x.broadcastTo([5, 2, 3]),
    "3": (x) => x.argMax(0),
    "3,3": (x) => einsum("ab, ac -> bc", x, x),
  };
  trace("shapes", { x }, ({ x }) => {
    for (const [expected, make] of Object.entries(shapes)) assert.equal(make(x).shape.join(","), expected);
    return {};
  });
});
