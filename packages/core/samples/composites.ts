/** Sample calls of the composite ops. */
import type { AttentionAttrs } from "../composites/attention.ts";
import type { Activation } from "../composites/activation.ts";
import type { Attention } from "../composites/attention.ts";
import type { Loss } from "../composites/loss.ts";
import type { Normalization } from "../composites/normalization.ts";
import type { AdamWAttrs, Optimization } from "../composites/optimizer.ts";
import type { Rotary } from "../composites/rotary.ts";
import type { DType } from "../values/dtype.ts";
import {
  constantSample,
  given,
  integers,
  type OperandSample,
  positive,
  type Sample,
  sample,
  type SampleTable,
  signed,
} from "./sample.ts";

/** The samples of the activation composites. */
export const activationSamples: SampleTable<Activation> = {
  gelu: [
    sample("matrix", [signed([2, 3])], {}),
    sample("scalar", [signed([])], {}),
    sample("far from zero", [given([4], "float32", [-9, -3.5, 3.5, 9])], {}),
    sample("bfloat16", [signed([2, 3], "bfloat16")], {}),
  ],
  geluGrad: [
    sample("matrix", [signed([2, 3]), signed([2, 3])], {}),
    sample("far from zero", [given([4], "float32", [-9, -3.5, 3.5, 9]), signed([4])], {}),
  ],
  silu: [
    sample("matrix", [signed([2, 3])], {}),
    sample("scalar", [signed([])], {}),
    sample("far from zero", [given([4], "float32", [-90, -9, 9, 90])], {}),
  ],
  siluGrad: [
    sample("matrix", [signed([2, 3]), signed([2, 3])], {}),
    sample("far from zero", [given([4], "float32", [-90, -9, 9, 90]), signed([4])], {}),
  ],
};

const llama = { epsilon: 1e-5, offset: 0 };
const gemma = { epsilon: 1e-6, offset: 1 };

/** The samples of the normalization composites. */
export const normalizationSamples: SampleTable<Normalization> = {
  rmsNorm: [
    sample("Llama", [signed([2, 4]), positive([4])], llama),
    sample("Gemma", [signed([2, 2, 4]), signed([4])], gemma),
    sample("vector", [signed([4]), signed([4])], gemma),
    sample("epsilon that counts", [signed([2, 4]), signed([4])], { epsilon: 1, offset: 1 }),
    sample("bfloat16", [signed([2, 4], "bfloat16"), signed([4], "bfloat16")], gemma),
    sample("float32 scale of bfloat16", [signed([2, 4], "bfloat16"), signed([4])], gemma),
  ],
  rmsNormGrad: [
    sample("Llama", [signed([2, 4]), positive([4]), signed([2, 4])], llama),
    sample("Gemma", [signed([2, 2, 3]), signed([3]), signed([2, 2, 3])], gemma),
    sample("vector", [signed([4]), signed([4]), signed([4])], gemma),
    sample("float32 scale of bfloat16", [signed([2, 4], "bfloat16"), signed([4]), signed([2, 4], "bfloat16")], gemma),
  ],
  layerNorm: [
    sample("matrix", [signed([2, 4]), positive([4]), signed([4])], { epsilon: 1e-6 }),
    sample("batch of rows", [signed([2, 2, 3]), signed([3]), signed([3])], { epsilon: 1e-5 }),
    sample("vector", [signed([4]), signed([4]), signed([4])], { epsilon: 1e-6 }),
    sample("epsilon that counts", [signed([2, 4]), signed([4]), signed([4])], { epsilon: 1 }),
    sample("far from zero", [given([2, 3], "float32", [40, 46, 37, -20, -27, -15]), signed([3]), signed([3])], {
      epsilon: 1e-6,
    }),
    sample("bfloat16", [signed([2, 4], "bfloat16"), signed([4], "bfloat16"), signed([4], "bfloat16")], {
      epsilon: 1e-6,
    }),
    sample("float32 scale of bfloat16", [signed([2, 4], "bfloat16"), signed([4]), signed([4])], { epsilon: 1e-6 }),
  ],
  layerNormGrad: [
    sample("matrix", [signed([2, 4]), positive([4]), signed([2, 4])], { epsilon: 1e-6 }),
    sample("batch of rows", [signed([2, 2, 3]), signed([3]), signed([2, 2, 3])], { epsilon: 1e-5 }),
    sample("vector", [signed([4]), signed([4]), signed([4])], { epsilon: 1e-6 }),
    sample("float32 scale of bfloat16", [signed([2, 4], "bfloat16"), signed([4]), signed([2, 4], "bfloat16")], {
      epsilon: 1e-6,
    }),
  ],
  softmax: [
    sample("matrix", [signed([2, 4])], {}),
    sample("vector", [signed([4])], {}),
    sample("row of one", [signed([3, 1])], {}),
    sample("large elements", [given([2, 3], "float32", [800, 801, 799, -1000, -1001, -1002])], {}),
    sample("bfloat16", [signed([2, 4], "bfloat16")], {}),
  ],
};

/** The samples of the rotary composite. */
export const rotarySamples: SampleTable<Rotary> = {
  rotaryEmbedding: [
    sample("forward", [signed([2, 3, 2, 4]), integers([2, 3], 0, 9), given([2], "float32", [1, 0.01])], {
      inverse: false,
    }),
    sample("inverse", [signed([2, 3, 2, 4]), integers([2, 3], 0, 9), given([2], "float32", [1, 0.01])], {
      inverse: true,
    }),
    sample("one step of a cache", [signed([2, 1, 3, 2]), integers([2, 1], 5, 9), given([1], "float32", [1])], {
      inverse: false,
    }),
    sample(
      "bfloat16",
      [signed([1, 2, 2, 4], "bfloat16"), given([1, 2], "int32", [0, 3]), given([2], "float32", [1, 0.5])],
      { inverse: false },
    ),
  ],
};

interface AttentionCase {
  readonly heads: number;
  readonly keyHeads: number;
  readonly queryPositions: readonly (readonly number[])[];
  readonly keyPositions: readonly (readonly number[])[];
  /** For each query the last position that it sees, its own unless given. */
  readonly lastSeen?: readonly (readonly number[])[];
  /** How many positions back a query sees; all unless given. */
  readonly window?: number;
  readonly attrs?: Partial<AttentionAttrs>;
  readonly dtype?: DType;
  readonly headDim?: number;
}

const counting = [[0, 1, 2, 3], [0, 1, 2, 3]];
const causal = { queryPositions: counting, keyPositions: counting };

/** Every head grouping, mask and attribute, each in a small case. */
const attentionCases: Readonly<Record<string, AttentionCase>> = {
  "one key head per head": { heads: 2, keyHeads: 2, ...causal },
  "grouped heads": { heads: 4, keyHeads: 2, ...causal },
  "one key head for all": { heads: 4, keyHeads: 1, ...causal },
  "padding on the right": {
    heads: 2,
    keyHeads: 1,
    queryPositions: counting,
    keyPositions: [[0, 1, 2, -1], [0, 1, -1, -1]],
  },
  "padding on the left, with queries that see nothing": {
    heads: 2,
    keyHeads: 2,
    queryPositions: [[-1, 0, 1, 2], [-1, -1, 0, 1]],
    keyPositions: [[-1, 0, 1, 2], [-1, -1, 0, 1]],
  },
  "prefix": { heads: 2, keyHeads: 2, ...causal, lastSeen: [[1, 1, 2, 3], [2, 2, 2, 3]] },
  "window": { heads: 2, keyHeads: 2, ...causal, window: 2 },
  "image longer than the window": {
    heads: 2,
    keyHeads: 2,
    ...causal,
    lastSeen: [[0, 3, 3, 3], [2, 2, 2, 3]],
    window: 2,
  },
  "soft cap": { heads: 2, keyHeads: 1, ...causal, attrs: { softCap: 1.5 } },
  "everything": {
    heads: 4,
    keyHeads: 2,
    queryPositions: counting,
    keyPositions: [[0, 1, 2, 3], [0, 1, 2, -1]],
    lastSeen: [[0, 1, 2, 3], [1, 1, 2, 3]],
    window: 3,
    attrs: { softCap: 2, scale: 0.3 },
  },
  "one query against a cache that is partly filled": {
    heads: 2,
    keyHeads: 1,
    queryPositions: [[3], [1]],
    keyPositions: [[0, 1, 2, 3, -1], [0, 1, -1, -1, -1]],
  },
  "two queries against a cache, in a window": {
    heads: 2,
    keyHeads: 2,
    queryPositions: [[3, 4], [2, 3]],
    keyPositions: [[0, 1, 2, 3, 4], [0, 1, 2, 3, -1]],
    window: 3,
  },
  "one head of one dimension": { heads: 1, keyHeads: 1, headDim: 1, ...causal },
  "bfloat16": { heads: 2, keyHeads: 1, ...causal, dtype: "bfloat16" },
};

function attentionOperands(
  { heads, keyHeads, queryPositions, keyPositions, lastSeen, window, dtype = "float32", headDim = 2 }: AttentionCase,
) {
  const [batch, time, keys] = [queryPositions.length, queryPositions[0]!.length, keyPositions[0]!.length];
  const query = signed([batch, time, heads, headDim], dtype);
  const key = signed([batch, keys, keyHeads, headDim], dtype);
  const operands: [OperandSample, OperandSample, OperandSample, OperandSample, OperandSample, OperandSample] = [
    query,
    key,
    key,
    given([batch, time], "int32", queryPositions.flat().map((at) => window === undefined ? 0 : at - window + 1)),
    given([batch, time], "int32", (lastSeen ?? queryPositions).flat()),
    given([batch, keys], "int32", keyPositions.flat()),
  ];
  return operands;
}

function attentionSample(name: string): Sample<"attention"> {
  const found = attentionCases[name]!;
  return sample(name, attentionOperands(found), { scale: 0.5, softCap: null, ...found.attrs });
}

/** The gradient op takes any result and cotangent; its own gradient is never asked for. */
function attentionGradSample(name: string): Sample<"attentionGrad"> {
  const found = attentionCases[name]!;
  const operands = attentionOperands(found);
  const attrs = { scale: 0.5, softCap: null, ...found.attrs };
  return constantSample(name, [...operands, operands[0], operands[0]], attrs);
}

const [firstCase, ...moreCases] = Object.keys(attentionCases) as [string, ...string[]];

/** The samples of the attention composites. */
export const attentionSamples: SampleTable<Attention> = {
  attention: [attentionSample(firstCase), ...moreCases.map(attentionSample)],
  attentionGrad: [attentionGradSample(firstCase), ...moreCases.map(attentionGradSample)],
};

/** The samples of the loss composites. */
export const lossSamples: SampleTable<Loss> = {
  crossEntropy: [
    sample("batch of rows", [signed([2, 3, 4]), integers([2, 3], 0, 4)], {}),
    sample("rows", [signed([3, 4]), integers([3], 0, 4)], {}),
    sample("one row", [signed([4]), integers([], 0, 4)], {}),
    sample("large logits", [given([2, 3], "float32", [500, 501, 499, -400, -401, -399]), integers([2], 0, 3)], {}),
    sample("bfloat16", [signed([2, 4], "bfloat16"), integers([2], 0, 4)], {}),
  ],
  crossEntropyGrad: [
    sample("batch of rows", [signed([2, 3, 4]), integers([2, 3], 0, 4)], {}),
    sample("one row", [signed([4]), integers([], 0, 4)], {}),
    sample("a label that is certain, and one that is out of the question", [
      given([2, 3], "float32", [60, 1, 2, 1, 2, 60]),
      given([2], "int32", [0, 0]),
    ], {}),
    sample("bfloat16", [signed([2, 4], "bfloat16"), integers([2], 0, 4)], {}),
  ],
};

/** An update of a weight of some shape, the state being that of the first step or a later one. */
function adamWCase(name: string, shape: readonly number[], attrs: Partial<AdamWAttrs>): Sample<"adamW"> {
  const scalar = (value: number) => given([], "float32", [value]);
  return constantSample(name, [
    ...[signed(shape), signed(shape), positive(shape), signed(shape)] as const,
    ...[scalar(0.01), scalar(10), scalar(1000)] as const,
  ], { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01, ...attrs });
}

/** The samples of the optimizer composites. */
export const optimizationSamples: SampleTable<Optimization> = {
  adamW: [
    adamWCase("matrix", [3, 4], {}),
    adamWCase("scalar", [], {}),
    adamWCase("without decay", [5], { weightDecay: 0 }),
    adamWCase("without memory", [2, 1, 3], { beta1: 0, beta2: 0, epsilon: 1e-3 }),
  ],
};
