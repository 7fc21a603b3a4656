/** Invalid calls of ops, each with the text of its error. */
import type { OpName, Ops } from "../ops/table.ts";

/** One invalid call: the types of its operands, its attributes, and the text of the error. */
export type BadCall<K extends OpName> = readonly [
  operands: string,
  attrs: Ops[K]["attrs"],
  error: "TypeError" | "RangeError" | "SyntaxError",
  message: string,
];

/** Invalid calls, by op. */
export const badCalls: { readonly [K in OpName]?: readonly BadCall<K>[] } = {
  full: [
    [
      "",
      { shape: [2], dtype: "int32", value: 0.5 },
      "RangeError",
      "Cannot fill int32[2] with 0.5: it is not an integer; cast to a float first",
    ],
  ],
  constant: [
    [
      "",
      { shape: [2, 2], dtype: "float32", values: [1] },
      "RangeError",
      "Cannot make a constant of float32[2,2]: 4 values are needed, found 1",
    ],
  ],
  iota: [[
    "",
    { shape: [2], dtype: "int32", axis: 1 },
    "RangeError",
    "Cannot count along axis 1 of int32[2]: it has 1 axes",
  ]],
  exp: [["int32[2]", {}, "TypeError", "Cannot exp int32[2]: it needs a floating-point tensor; cast it first"]],
  not: [["float32[2]", {}, "TypeError", "Cannot not: the operand must be bool, found float32[2]"]],
  add: [
    [
      "float32[2,3] int32[2,3]",
      {},
      "TypeError",
      "Cannot add float32[2,3] and int32[2,3]: dtypes must match; cast one of them",
    ],
    [
      "float32[2,3] float32[2,4]",
      {},
      "TypeError",
      "Cannot add float32[2,3] and float32[2,4]: axis 1 of the result would be both 3 and 4",
    ],
    ["bool[2] bool[2]", {}, "TypeError", "Cannot add bool[2] and bool[2]: they are not numbers"],
  ],
  less: [[
    "float32[2] bfloat16[2]",
    {},
    "TypeError",
    "Cannot less float32[2] and bfloat16[2]: dtypes must match; cast one of them",
  ]],
  and: [["bool[2] int32[2]", {}, "TypeError", "Cannot and: the second operand must be bool, found int32[2]"]],
  where: [
    ["float32[2] float32[2] float32[2]", {}, "TypeError", "Cannot where: the condition must be bool, found float32[2]"],
    [
      "bool[3] float32[2] float32[2]",
      {},
      "TypeError",
      "Cannot where bool[3] and float32[2]: axis 0 of the result would be both 3 and 2",
    ],
  ],
  sum: [
    ["bool[2]", { axes: [0], keepDims: false }, "TypeError", "Cannot sum bool[2]: cast it to a number first"],
    [
      "float32[2]",
      { axes: [1], keepDims: false },
      "RangeError",
      "Cannot sum float32[2] over axes [1]: axis 1 is repeated or is not one of its 1 axes",
    ],
    [
      "float32[2]",
      { axes: [0, 0], keepDims: false },
      "RangeError",
      "Cannot sum float32[2] over axes [0,0]: axis 0 is repeated or is not one of its 1 axes",
    ],
  ],
  argMax: [["bool[2]", { axis: 0 }, "TypeError", "Cannot argMax bool[2]: cast it to a number first"]],
  cumSum: [[
    "float32[2]",
    { axis: 1 },
    "RangeError",
    "Cannot cumSum float32[2] over axes [1]: axis 1 is repeated or is not one of its 1 axes",
  ]],
  topK: [[
    "float32[2,3]",
    { k: 4 },
    "RangeError",
    "Cannot take the 4 largest of float32[2,3]: its last axis has 3 elements",
  ]],
  einsum: [
    [
      "float32[2,3] float32[4,5]",
      { spec: "ab,bc->ac" },
      "TypeError",
      'Cannot einsum "ab,bc->ac" of float32[2,3] and float32[4,5]: "b" is both 3 and 4',
    ],
    [
      "float32[2] float32[3,5]",
      { spec: "ab,bc->ac" },
      "TypeError",
      'Cannot einsum "ab,bc->ac" of float32[2] and float32[3,5]: "ab" names 2 axes of float32[2]',
    ],
    [
      "int32[2,3] int32[3,5]",
      { spec: "ab,bc->ac" },
      "TypeError",
      "Cannot einsum int32[2,3]: it needs a floating-point tensor; cast it first",
    ],
    [
      "float32[2] float32[2]",
      { spec: "a,a" },
      "SyntaxError",
      'Cannot read einsum spec "a,a": expected two operands and a result, such as "ab,bc->ac"',
    ],
    [
      "float32[2,2] float32[2]",
      { spec: "aa,a->a" },
      "SyntaxError",
      'Cannot read einsum spec "aa,a->a": "aa" repeats a letter',
    ],
    [
      "float32[2] float32[2]",
      { spec: "a,a->b" },
      "SyntaxError",
      'Cannot read einsum spec "a,a->b": "b" of the result is in no operand',
    ],
    [
      "float32[2,3] float32[2]",
      { spec: "ab,a->a" },
      "SyntaxError",
      'Cannot read einsum spec "ab,a->a": "b" is in one operand only; sum it out first',
    ],
  ],
  reshape: [[
    "float32[2,3]",
    { shape: [4] },
    "TypeError",
    "Cannot reshape float32[2,3] to [4]: it has 6 elements, not 4",
  ]],
  transpose: [[
    "float32[2,3]",
    { permutation: [0, 0] },
    "TypeError",
    "Cannot transpose float32[2,3] by [0,0]: it must name each of the 2 axes once",
  ]],
  broadcastTo: [[
    "float32[2,3]",
    { shape: [2, 4] },
    "TypeError",
    "Cannot broadcast float32[2,3] to [2,4]: every axis must have length 1 or the new length",
  ]],
  slice: [[
    "float32[3]",
    { starts: [1], limits: [4], strides: [1] },
    "RangeError",
    "Cannot slice float32[3] from [1] to [4] by [1]: every start and limit must lie within its axis",
  ]],
  pad: [[
    "float32[3]",
    { low: [1], high: [], value: 0 },
    "RangeError",
    "Cannot pad float32[3] by [1] and []: give one count of at least 0 per axis",
  ]],
  concat: [
    ["", { axis: 0 }, "TypeError", "Cannot concat no tensors: give at least one"],
    [
      "float32[2,3] float32[3,3]",
      { axis: 1 },
      "TypeError",
      "Cannot concat float32[2,3] and float32[3,3] along axis 1: all other axes must agree",
    ],
  ],
  gather: [
    ["float32[2,3] float32[2]", { axis: 0 }, "TypeError", "Cannot gather: the indices must be int32, found float32[2]"],
    ["float32[2,3] int32[2]", { axis: 2 }, "RangeError", "Cannot gather float32[2,3] along axis 2: it has 2 axes"],
  ],
  scatterAdd: [[
    "float32[4,3] int32[2] float32[2,2]",
    { axis: 0 },
    "TypeError",
    "Cannot scatterAdd: the updates must have shape [2,3], found float32[2,2]",
  ]],
  takeAlongAxis: [[
    "float32[2,3] int32[3,1]",
    { axis: 1 },
    "TypeError",
    "Cannot takeAlongAxis float32[2,3] with int32[3,1] along axis 1: all other axes must agree",
  ]],
  addAlongAxis: [[
    "float32[2,3] int32[2,1] float32[2,2]",
    { axis: 1 },
    "TypeError",
    "Cannot addAlongAxis: the updates must have shape [2,1], found float32[2,2]",
  ]],
  updateSlice: [
    [
      "float32[2,3] float32[2,4] int32[2]",
      { axis: 1 },
      "RangeError",
      "Cannot updateSlice float32[2,3]: float32[2,4] is longer along axis 1",
    ],
    [
      "float32[2,3] float32[2,1] int32[3]",
      { axis: 1 },
      "TypeError",
      "Cannot updateSlice: the starts must have shape [2], found int32[3]",
    ],
    [
      "float32[2,3] float32[1,3] int32[2]",
      { axis: 0 },
      "RangeError",
      "Cannot updateSlice float32[2,3] along axis 0: that is the axis of rows",
    ],
  ],
  gelu: [["bool[2]", {}, "TypeError", "Cannot gelu bool[2]: it needs a floating-point tensor; cast it first"]],
  siluGrad: [["float32[2] float32[3]", {}, "TypeError", "Cannot siluGrad float32[2] and float32[3]: types must match"]],
  rmsNorm: [
    [
      "float32[] float32[1]",
      { epsilon: 1, offset: 0 },
      "TypeError",
      "Cannot rmsNorm float32[]: it has no axis to normalize over",
    ],
    [
      "float32[2,3] float32[2]",
      { epsilon: 1, offset: 0 },
      "TypeError",
      "Cannot rmsNorm: the scale must have shape [3], found float32[2]",
    ],
  ],
  layerNorm: [
    [
      "float32[2,3] float32[3] float32[1,3]",
      { epsilon: 1 },
      "TypeError",
      "Cannot layerNorm: the shift must have shape [3], found float32[1,3]",
    ],
  ],
  layerNormGrad: [
    [
      "float32[2,3] float32[3] float32[3]",
      { epsilon: 1 },
      "TypeError",
      "Cannot layerNormGrad float32[2,3] and float32[3]: types must match",
    ],
  ],
  softmax: [["float32[]", {}, "TypeError", "Cannot softmax float32[]: it has no axis to normalize over"]],
  rotaryEmbedding: [
    [
      "float32[2,3,4,5] int32[2,3] float32[2]",
      { inverse: false },
      "TypeError",
      "Cannot rotaryEmbedding float32[2,3,4,5]: it must be [batch, time, heads, headDim] with headDim even",
    ],
    [
      "float32[2,3,4,6] int32[3,2] float32[3]",
      { inverse: false },
      "TypeError",
      "Cannot rotaryEmbedding: the positions must have shape [2,3], found int32[3,2]",
    ],
  ],
  attention: [
    [
      "float32[1,2,3,4] float32[1,2,2,4] float32[1,2,2,4] int32[1,2] int32[1,2] int32[1,2]",
      { scale: 1, softCap: null },
      "TypeError",
      "Cannot attention with queries float32[1,2,3,4], keys float32[1,2,2,4] and values float32[1,2,2,4]: " +
      "expected [batch, time, heads, headDim] and twice [batch, keys, keyHeads, headDim], keyHeads dividing heads",
    ],
    [
      "float32[1,2,4,4] float32[1,3,2,4] float32[1,3,2,4] int32[1,2] int32[1,2] int32[1,2]",
      { scale: 1, softCap: null },
      "TypeError",
      "Cannot attention: the key positions must have shape [1,3], found int32[1,2]",
    ],
  ],
  adamW: [
    [
      "float32[2] float32[2] float32[3] float32[2] float32[] float32[] float32[]",
      { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
      "TypeError",
      "Cannot adamW float32[2] with the velocity float32[3]: shapes must match",
    ],
    [
      "bfloat16[2] float32[2] float32[2] float32[2] float32[] float32[] float32[]",
      { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
      "TypeError",
      "Cannot adamW: the weight must be float32, found bfloat16[2]",
    ],
    [
      "float32[2] float32[2] float32[2] float32[2] float32[] float32[1] float32[]",
      { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 },
      "TypeError",
      "Cannot adamW: the correction of the momentum must have shape [], found float32[1]",
    ],
  ],
  crossEntropy: [
    ["float32[2,3] float32[2]", {}, "TypeError", "Cannot crossEntropy: the labels must be int32, found float32[2]"],
    [
      "float32[2,3] int32[3]",
      {},
      "TypeError",
      "Cannot crossEntropy logits float32[2,3] and labels int32[3]: the labels must have the shape of the logits less the last axis",
    ],
  ],
  dequantize: [
    [
      "int32[2,4] float32[2,1]",
      { bits: 8, dtype: "float32" },
      "TypeError",
      "Cannot dequantize: the codes must be uint8, found int32[2,4]",
    ],
    [
      "uint8[2,4] float32[2,3]",
      { bits: 8, dtype: "float32" },
      "TypeError",
      "Cannot dequantize 8-bit codes uint8[2,4] with scales float32[2,3]: along each axis the scales must divide the elements, [2,4]",
    ],
    [
      "uint8[2,3] float32[2,2]",
      { bits: 4, dtype: "float32" },
      "TypeError",
      "Cannot dequantize 4-bit codes uint8[2,3] with scales float32[2,2]: along each axis the scales must divide the elements, [2,6], the last into blocks of even length",
    ],
    [
      "uint8[] float32[]",
      { bits: 4, dtype: "float32" },
      "TypeError",
      "Cannot dequantize uint8[]: 4-bit codes need an axis to pair up along",
    ],
  ],
  quantizedEinsum: [
    [
      "float32[2,4] uint8[3,4] float32[3,1]",
      { spec: "ti,oi->to", bits: 4, roundInput: false },
      "TypeError",
      'Cannot quantizedEinsum "ti,oi->to" of float32[2,4] and 4-bit codes of [3,8]: "oi" does not name the axes of [3,8], or another length for one',
    ],
    [
      "int32[2,4] uint8[3,4] float32[3,1]",
      { spec: "ti,oi->to", bits: 8, roundInput: false },
      "TypeError",
      "Cannot quantizedEinsum int32[2,4]: it needs a floating-point tensor; cast it first",
    ],
  ],
};
