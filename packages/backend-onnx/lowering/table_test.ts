/** Every op, one by one, against the reference evaluator. */

import {
  apply,
  attention,
  type CompositeName,
  concat,
  constant,
  type DType,
  fromElements,
  full,
  type Graph,
  type HostTensor,
  iota,
  type OpName,
  type PrimitiveName,
  rmsNorm,
  rotaryEmbedding,
  sizeOf,
  type Tensor,
  trace,
  where,
} from "@tessera/core";
import { einsum } from "@tessera/core";
import { onnxBackend } from "../backend.ts";
import { assertAgrees, sample } from "../testing/run.ts";
import { onnxLowering } from "./table.ts";

/** Inputs by name: a shape, a dtype, and how a number from -2 to 2 becomes an element. */
type Inputs = Readonly<Record<string, { shape: readonly number[]; dtype: DType; map?: (x: number) => number }>>;

interface Sample {
  readonly inputs: Inputs;
  readonly body: (inputs: Readonly<Record<string, Tensor>>) => Tensor | readonly Tensor[];
}

const f = (shape: readonly number[], map?: (x: number) => number) => ({
  shape,
  dtype: "float32" as const,
  ...(map && { map }),
});
const ints = (shape: readonly number[], below = 5) => ({
  shape,
  dtype: "int32" as const,
  map: (x: number) => Math.floor((x + 2) / 4 * below),
});
const flags = (shape: readonly number[]) => ({ shape, dtype: "bool" as const, map: (x: number) => x > 0 ? 1 : 0 });
const positive = (x: number) => Math.abs(x) + 0.5;

function unary(op: OpName, map?: (x: number) => number): Sample[] {
  return [{ inputs: { x: f([3, 5], map) }, body: ({ x }) => apply(op as "exp", [x!], {}) }];
}

function signed(op: OpName): Sample[] {
  return [
    ...unary(op),
    {
      inputs: { x: { shape: [7], dtype: "int32", map: (x) => Math.round(x * 3) } },
      body: ({ x }) => apply(op as "neg", [x!], {}),
    },
  ];
}

function binary(op: OpName, map?: (x: number) => number): Sample[] {
  const body: Sample["body"] = ({ a, b }) => apply(op as "add", [a!, b!], {});
  return [
    { inputs: { a: f([2, 3, 4], map), b: f([3, 1], map) }, body },
    { inputs: { a: f([], map), b: f([4], map) }, body },
    { inputs: { a: ints([4, 3]), b: { ...ints([3]), map: (x) => Math.floor(x + 4) } }, body },
    // An operand that the graph repeats first.
    {
      inputs: { a: f([3, 4], map), b: f([1, 4], map) },
      body: ({ a, b }) => body({ a: a!, b: b!.broadcastTo([3, 4]) }),
    },
  ];
}

function comparison(op: OpName): Sample[] {
  const rounded = (x: number) => Math.round(x);
  const body: Sample["body"] = ({ a, b }) => apply(op as "less", [a!, b!], {});
  return [
    ...binary(op, rounded),
    { inputs: { a: flags([4, 4]), b: flags([4]) }, body },
  ];
}

function logical(op: OpName): Sample[] {
  return [{ inputs: { a: flags([4, 3]), b: flags([3]) }, body: ({ a, b }) => apply(op as "and", [a!, b!], {}) }];
}

function reduction(op: "sum" | "max" | "min"): Sample[] {
  return [
    { inputs: { x: f([3, 4, 5]) }, body: ({ x }) => x![op]([0, 2]) },
    { inputs: { x: f([3, 4, 5]) }, body: ({ x }) => x![op](1, { keepDims: true }) },
    { inputs: { x: f([3, 4]) }, body: ({ x }) => x![op]() },
    { inputs: { x: f([3, 4]) }, body: ({ x }) => x![op]([]).add(1) },
    { inputs: { x: ints([3, 4]) }, body: ({ x }) => x![op](0) },
  ];
}

function attentionSamples(gradient: boolean): Sample[] {
  const attrs = [
    { scale: 0.5, softCap: null, window: null },
    { scale: 0.3, softCap: 5, window: 3 },
  ];
  return attrs.map((options) => ({
    inputs: {
      q: f([2, 6, 4, 8]),
      k: f([2, 6, 2, 8]),
      v: f([2, 6, 2, 8]),
      ...(gradient && { ct: f([2, 6, 4, 8]) }),
    },
    body: ({ q, k, v, ct }) => {
      const positions = iota([2, 6], 1);
      const prefix = constant([0, 2], [2], "int32");
      const out = attention({
        query: q!,
        key: k!,
        value: v!,
        queryPositions: positions,
        keyPositions: positions,
        prefix,
      }, options);
      return gradient ? apply("attentionGrad", [q!, k!, v!, positions, positions, prefix, out, ct!], options) : out;
    },
  }));
}

const samples: { readonly [K in PrimitiveName | CompositeName]: readonly Sample[] } = {
  full: [
    { inputs: {}, body: () => full([2, 3], 1.5) },
    { inputs: {}, body: () => full([], 7, "int32") },
    { inputs: {}, body: () => full([2], 1, "bool") },
  ],
  constant: [
    { inputs: {}, body: () => constant([1, 2, 3, 4, 5, 6], [3, 2]) },
    { inputs: {}, body: () => constant([1, 0], [2], "bool") },
  ],
  iota: [
    { inputs: {}, body: () => iota([3, 4], 1) },
    { inputs: {}, body: () => iota([3, 4], 0, "float32") },
  ],
  neg: signed("neg"),
  abs: signed("abs"),
  sign: signed("sign"),
  floor: unary("floor"),
  exp: unary("exp"),
  log: unary("log", positive),
  sqrt: unary("sqrt", positive),
  rsqrt: unary("rsqrt", positive),
  sin: unary("sin"),
  cos: unary("cos"),
  tanh: unary("tanh"),
  sigmoid: unary("sigmoid"),
  not: [{ inputs: { x: flags([5]) }, body: ({ x }) => x!.not() }],
  add: binary("add"),
  sub: binary("sub"),
  mul: binary("mul"),
  div: binary("div", positive),
  pow: binary("pow", positive),
  maximum: binary("maximum"),
  minimum: binary("minimum"),
  equal: comparison("equal"),
  less: comparison("less"),
  lessEqual: comparison("lessEqual"),
  greater: comparison("greater"),
  greaterEqual: comparison("greaterEqual"),
  and: logical("and"),
  or: logical("or"),
  where: [
    { inputs: { c: flags([4, 1]), a: f([4, 3]), b: f([3]) }, body: ({ c, a, b }) => where(c!, a!, b!) },
    { inputs: { c: flags([4]), a: ints([4]), b: ints([4]) }, body: ({ c, a, b }) => where(c!, a!, b!) },
    { inputs: { c: flags([4, 1]), a: flags([4, 3]), b: flags([3]) }, body: ({ c, a, b }) => where(c!, a!, b!) },
  ],
  cast: [
    { inputs: { x: f([9]) }, body: ({ x }) => x!.cast("int32") },
    { inputs: { x: f([9]) }, body: ({ x }) => x!.cast("bfloat16") },
    { inputs: { x: f([9]) }, body: ({ x }) => x!.cast("float16") },
    { inputs: { x: f([9], Math.round) }, body: ({ x }) => x!.cast("bool") },
    { inputs: { x: ints([9]) }, body: ({ x }) => x!.cast("float32") },
    { inputs: { x: flags([9]) }, body: ({ x }) => x!.cast("float32") },
    { inputs: { x: { shape: [9], dtype: "bfloat16" } }, body: ({ x }) => x!.cast("float32") },
    { inputs: { x: { shape: [9], dtype: "float16" } }, body: ({ x }) => x!.cast("float32") },
  ],
  sum: reduction("sum"),
  max: reduction("max"),
  min: reduction("min"),
  argMax: [
    { inputs: { x: f([3, 5]) }, body: ({ x }) => x!.argMax(1) },
    { inputs: { x: f([5, 3], Math.round) }, body: ({ x }) => x!.argMax(0) },
  ],
  cumSum: [
    { inputs: { x: f([3, 5]) }, body: ({ x }) => apply("cumSum", [x!], { axis: 1 }) },
    { inputs: { x: ints([3, 5]) }, body: ({ x }) => apply("cumSum", [x!], { axis: 0 }) },
  ],
  topK: [{ inputs: { x: f([3, 7]) }, body: ({ x }) => apply("topK", [x!], { k: 3 }) }],
  einsum: [
    { inputs: { x: f([2, 3, 4]), w: f([5, 6, 4]) }, body: ({ x, w }) => einsum("btd,nhd->btnh", x!, w!) },
    { inputs: { x: f([3, 4]), y: f([4, 3]) }, body: ({ x, y }) => einsum("ab,ba->ab", x!, y!) },
  ],
  reshape: [
    { inputs: { x: f([2, 6]) }, body: ({ x }) => x!.reshape([3, 4]) },
    { inputs: { x: f([2, 6]) }, body: ({ x }) => x!.reshape([12]).exp().reshape([1, 12, 1]) },
  ],
  transpose: [
    { inputs: { x: f([2, 3, 4]) }, body: ({ x }) => x!.transpose([2, 0, 1]) },
    { inputs: { x: f([2, 1, 4]) }, body: ({ x }) => x!.transpose([1, 0, 2]) },
  ],
  broadcastTo: [
    { inputs: { x: f([3, 1]) }, body: ({ x }) => x!.broadcastTo([2, 3, 4]) },
    { inputs: { x: flags([]) }, body: ({ x }) => x!.broadcastTo([2]) },
  ],
  slice: [
    { inputs: { x: f([4, 6]) }, body: ({ x }) => x!.slice([1, 0], [3, 6]) },
    {
      inputs: { x: f([4, 6]) },
      body: ({ x }) => apply("slice", [x!], { starts: [0, 1], limits: [4, 6], strides: [1, 2] }),
    },
    { inputs: { x: { shape: [4, 6], dtype: "bfloat16" } }, body: ({ x }) => x!.slice([1, 0], [3, 6]) },
  ],
  pad: [
    { inputs: { x: f([2, 3]) }, body: ({ x }) => apply("pad", [x!], { low: [1, 0], high: [0, 2], value: 9 }) },
    { inputs: { x: flags([2]) }, body: ({ x }) => apply("pad", [x!], { low: [1], high: [1], value: 1 }) },
  ],
  concat: [
    { inputs: { x: f([2, 3]), y: f([2, 1]) }, body: ({ x, y }) => concat([x!, y!, x!], 1) },
    { inputs: { x: ints([2]), y: ints([3]) }, body: ({ x, y }) => concat([x!, y!], 0) },
  ],
  gather: [
    { inputs: { x: f([5, 3]), i: ints([2, 4]) }, body: ({ x, i }) => x!.gather(i!) },
    { inputs: { x: f([2, 5, 3]), i: ints([4]) }, body: ({ x, i }) => x!.gather(i!, 1) },
    { inputs: { x: { shape: [5, 3], dtype: "bfloat16" }, i: ints([]) }, body: ({ x, i }) => x!.gather(i!) },
  ],
  scatterAdd: [
    {
      inputs: { x: f([5, 3]), i: ints([2, 4]), u: f([2, 4, 3]) },
      body: ({ x, i, u }) => apply("scatterAdd", [x!, i!, u!], { axis: 0 }),
    },
    {
      inputs: { x: f([2, 5, 3]), i: ints([4]), u: f([2, 4, 3]) },
      body: ({ x, i, u }) => apply("scatterAdd", [x!, i!, u!], { axis: 1 }),
    },
    {
      inputs: { x: f([2, 3, 5]), i: ints([4, 2]), u: f([2, 3, 4, 2]) },
      body: ({ x, i, u }) => apply("scatterAdd", [x!, i!, u!], { axis: 2 }),
    },
    // So many repeats that lost updates would show.
    {
      inputs: { x: f([5, 8]), i: ints([4000]), u: f([4000, 8]) },
      body: ({ x, i, u }) => apply("scatterAdd", [x!, i!, u!], { axis: 0 }),
    },
  ],
  takeAlongAxis: [
    { inputs: { x: f([3, 5]), i: ints([3, 2]) }, body: ({ x, i }) => apply("takeAlongAxis", [x!, i!], { axis: 1 }) },
    { inputs: { x: f([5, 3]), i: ints([2, 3]) }, body: ({ x, i }) => apply("takeAlongAxis", [x!, i!], { axis: 0 }) },
  ],
  addAlongAxis: [
    {
      inputs: { x: f([3, 5]), i: ints([3, 7]), u: f([3, 7]) },
      body: ({ x, i, u }) => apply("addAlongAxis", [x!, i!, u!], { axis: 1 }),
    },
  ],
  updateSlice: [
    {
      inputs: { x: f([2, 8, 3]), u: f([2, 2, 3]), i: ints([2], 6) },
      body: ({ x, u, i }) => apply("updateSlice", [x!, u!, i!], { axis: 1 }),
    },
    {
      inputs: {
        x: { shape: [2, 3, 8], dtype: "bfloat16" },
        u: { shape: [2, 3, 1], dtype: "bfloat16" },
        i: ints([2], 8),
      },
      body: ({ x, u, i }) => apply("updateSlice", [x!, u!, i!], { axis: 2 }),
    },
  ],
  gelu: unary("gelu"),
  geluGrad: [{
    inputs: { x: f([3, 5], (x) => x * 3), ct: f([3, 5]) },
    body: ({ x, ct }) => apply("geluGrad", [x!, ct!], {}),
  }],
  silu: unary("silu"),
  siluGrad: [{
    inputs: { x: f([3, 5], (x) => x * 3), ct: f([3, 5]) },
    body: ({ x, ct }) => apply("siluGrad", [x!, ct!], {}),
  }],
  rmsNorm: [
    { inputs: { x: f([2, 3, 8]), s: f([8]) }, body: ({ x, s }) => rmsNorm(x!, s!, { epsilon: 1e-5, offset: 1 }) },
    { inputs: { x: f([8]), s: f([8]) }, body: ({ x, s }) => rmsNorm(x!, s!, { epsilon: 1e-2 }) },
    {
      inputs: { x: { shape: [3, 8], dtype: "bfloat16" }, s: { shape: [8], dtype: "bfloat16" } },
      body: ({ x, s }) => rmsNorm(x!, s!, { epsilon: 1e-5 }),
    },
  ],
  rmsNormGrad: [
    {
      inputs: { x: f([2, 3, 8]), s: f([8]), ct: f([2, 3, 8]) },
      body: ({ x, s, ct }) => apply("rmsNormGrad", [x!, s!, ct!], { epsilon: 1e-2, offset: 1 }),
    },
    {
      inputs: { x: f([8]), s: f([8]), ct: f([8]) },
      body: ({ x, s, ct }) => apply("rmsNormGrad", [x!, s!, ct!], { epsilon: 1e-2, offset: 0 }),
    },
  ],
  softmax: [{ inputs: { x: f([2, 3, 8]) }, body: ({ x }) => apply("softmax", [x!], {}) }],
  rotaryEmbedding: [false, true].map((inverse) => ({
    inputs: { x: f([2, 3, 4, 8]), p: ints([2, 3], 50), w: f([4], positive) },
    body: ({ x, p, w }) => inverse ? apply("rotaryEmbedding", [x!, p!, w!], { inverse }) : rotaryEmbedding(x!, p!, w!),
  })),
  attention: attentionSamples(false),
  attentionGrad: attentionSamples(true),
  crossEntropy: [{
    inputs: { x: f([2, 3, 5], (x) => 10 * x), y: ints([2, 3]) },
    body: ({ x, y }) => apply("crossEntropy", [x!, y!], {}),
  }],
  crossEntropyGrad: [{
    inputs: { x: f([2, 3, 5]), y: ints([2, 3]), ct: f([2, 3]) },
    body: ({ x, y, ct }) => apply("crossEntropyGrad", [x!, y!, ct!], {}),
  }],
};

function build(name: string, { inputs, body }: Sample): { graph: Graph; tensors: HostTensor[] } {
  const graph = trace(name, inputs, (symbols) => {
    const results = body(symbols);
    return Object.fromEntries((Array.isArray(results) ? results : [results]).map((result, i) => [`y${i}`, result]));
  });
  const tensors = Object.values(inputs).map(({ shape, dtype, map = (x) => x }, i) =>
    fromElements(dtype, shape, Float64Array.from(sample(sizeOf(shape), i + 1), map))
  );
  return { graph, tensors };
}

for (const name of Object.keys(onnxLowering) as (PrimitiveName | CompositeName)[]) {
  Deno.test(`onnxLowering["${name}"] computes what the reference evaluator does`, async () => {
    const backend = onnxBackend({ threads: 2 });
    try {
      for (const one of samples[name]) {
        const { graph, tensors } = build(name, one);
        await assertAgrees(backend, graph, tensors);
      }
    } finally {
      backend.dispose();
    }
  });
}
