/** The language-model loss: the mean over the tokens that count, whatever the padding. */
import { concat, crossEntropy, full, type Tensor } from "@tessera/core";

/** A batch as the loss reads it. */
export interface LossInputs {
  /** The logits, [batch, time, vocabulary]; those at place `t` predict token `t + 1`. */
  readonly logits: Tensor;
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

/** Each row one place to the left, with zeros at the end: what is to be predicted at each place. */
function shifted(x: Tensor): Tensor {
  const [batch, time] = x.shape as [number, number];
  return concat([x.slice([0, 1], [batch, time]), full([batch, 1], 0, x.dtype)], 1);
}

/** The sums of the loss and of the tokens that count. The labels are shifted, not the logits, which are far bigger. */
export function languageModelLoss({ logits, tokenIds, lossMask }: LossInputs): LossSums {
  const mask = shifted(lossMask);
  // Tokens that do not count may lie beyond the vocabulary, as those of pictures do.
  const labels = shifted(tokenIds).mul(mask.cast("int32"));
  return { loss: crossEntropy(logits, labels).mul(mask).sum(), tokens: mask.sum() };
}

/** The number of tokens that count and whose likeliest prediction is right, a float32 scalar. */
export function correctPredictions({ logits, tokenIds, lossMask }: LossInputs): Tensor {
  const right = logits.argMax(-1).equal(shifted(tokenIds)).cast("float32");
  return right.mul(shifted(lossMask)).sum();
}

/** A sum over tokens as a mean; a batch without any counts as zero. */
export function perToken(sum: Tensor, tokens: Tensor): Tensor {
  return sum.div(tokens.maximum(1));
}
