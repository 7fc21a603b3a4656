/**
 * The language-model loss: the mean over the tokens that count, whatever the padding.
 *
 * The logits of a batch are by far its largest array: 0.5 GB for 512 tokens of Gemma, several times over with what their
 * gradient needs. So they exist for some positions at a time: those of a piece become its loss and its gradients at once, after
 * "Cut Your Losses in Large-Vocabulary Language Models" (arXiv 2411.09009).
 */
import { concat, crossEntropy, full, pieceBounds, sumOverPieces, type Tensor } from "@tessera/core";

/** A batch as the loss reads it. */
export interface LossInputs {
  /** The final hidden states, [batch, time, hidden]; those at place `t` predict token `t + 1`. */
  readonly hidden: Tensor;
  /** The logits of hidden states, [batch, some positions, hidden] to [batch, some positions, vocabulary]. */
  readonly logits: (hidden: Tensor) => Tensor;
  /** The number of tokens in the vocabulary. */
  readonly vocabularySize: number;
  /** Among how many devices the rows are shared out. */
  readonly replicas: number;
  /** The tokens, int32 [batch, time]. */
  readonly tokenIds: Tensor;
  /** 1 where a token is one to learn, else 0: float32 [batch, time]. */
  readonly lossMask: Tensor;
}

/** Sums over a batch, float32 scalars: dividing one by the other gives a mean that batches can be pooled into. */
export interface LossSums {
  /** The sum of the negative log-probabilities of the tokens that count. */
  readonly loss: Tensor;
  /** The number of tokens that count. */
  readonly tokens: Tensor;
}

/** What the logits that exist at once may take, in bytes as float32. */
const bytesAtOnce = 32 * 2 ** 20;

/**
 * The fewest tokens whose logits are computed at once: the products with the table are as fast as with more, and logits of
 * 262,144 tokens, the largest vocabulary there is, fit the 128 MiB that WebGPU promises to bind.
 */
const fewestTokens = 128;

/** The most pieces, so that programs stay small. */
const mostPieces = 32;

/**
 * The most positions whose logits exist at once. Where devices share the rows it is all: the published layouts split the table's
 * width over the same devices, and the partitioner would exchange arrays for every piece rather than gather the table once.
 */
function positionsAtOnce({ hidden, vocabularySize, replicas }: LossInputs): number {
  const [batch, time] = hidden.shape as [number, number];
  if (replicas > 1) return time;
  const tokens = Math.max(fewestTokens, Math.floor(bytesAtOnce / (4 * vocabularySize)));
  return Math.max(1, Math.floor(tokens / batch), Math.ceil(time / mostPieces));
}

/** Each row one place to the left, with zeros at the end: what is to be predicted at each place. */
function shifted(x: Tensor): Tensor {
  const [batch, time] = x.shape as [number, number];
  return concat([x.slice([0, 1], [batch, time]), full([batch, 1], 0, x.dtype)], 1);
}

/** The masks and labels of each place. The labels are shifted, not the logits, which are far bigger. */
function targetsOf({ tokenIds, lossMask }: LossInputs): { readonly labels: Tensor; readonly mask: Tensor } {
  const mask = shifted(lossMask);
  // Tokens that do not count may lie beyond the vocabulary, as those of images do.
  return { labels: shifted(tokenIds).mul(mask.cast("int32")), mask };
}

/** The sums of the loss and of the tokens that count. */
export function languageModelLoss(inputs: LossInputs): LossSums {
  const { hidden, logits } = inputs;
  const { labels, mask } = targetsOf(inputs);
  const most = positionsAtOnce(inputs);
  const loss = sumOverPieces([hidden, labels, mask], { axis: 1, most }, ([states, wanted, counts]) => {
    return crossEntropy(logits(states!), wanted!).mul(counts!).sum();
  });
  return { loss, tokens: mask.sum() };
}

/** The sums of `languageModelLoss`, and the number of tokens that count and whose likeliest prediction is right. */
export function evaluationSums(inputs: LossInputs): LossSums & { readonly correct: Tensor } {
  const { hidden, logits } = inputs;
  const { labels, mask } = targetsOf(inputs);
  // [loss, correct] of each piece: what belongs together is computed together, and the logits go before the next ones come.
  const sums = pieceBounds(hidden.shape[1]!, positionsAtOnce(inputs)).map(([start, limit]) => {
    const [states, wanted, counts] = [hidden, labels, mask].map((x) => x.sliceAxis(1, start, limit));
    const found = logits(states!);
    const right = found.argMax(-1).equal(wanted!).cast("float32");
    return concat([crossEntropy(found, wanted!), right].map((x) => x.mul(counts!).sum().reshape([1])), 0);
  }).reduce((total, sum) => total.add(sum));
  const [loss, correct] = [0, 1].map((i) => sums.slice([i], [i + 1]).reshape([]));
  return { loss: loss!, correct: correct!, tokens: mask.sum() };
}

/** A sum over tokens as a mean; a batch without any counts as zero. */
export function perToken(sum: Tensor, tokens: Tensor): Tensor {
  return sum.div(tokens.maximum(1));
}
