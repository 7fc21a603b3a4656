/**
 * Contrastive search (arXiv 2202.06417): of the few likeliest tokens, the one with the best balance of being likely and of
 * having a hidden state unlike those before it, so that texts do not repeat themselves.
 */
import { toFloat32 } from "@tessera/core";
import { disposePrediction } from "./decoder_programs.ts";
import { likeliest, likeliestTokens, type Logits, logSumExp, penalizeRepetition } from "./logit_filters.ts";
import { Answers, logitRows, mostTokens, rowByRow, type Search } from "./search.ts";

/** Searches contrastively: each step reads all tokens to choose from, in rows of their own, and continues from one of them. */
export const contrastiveSearch: Search = async function* (decoder, request) {
  const { prompts, signal, sampling } = request;
  const { penaltyAlpha, repetitionPenalty } = sampling;
  const topK = Math.min(sampling.topK!, decoder.backbone.vocabularySize);
  const answers = new Answers(request);
  const rows = decoder.open({ batch: prompts.length, mostTokens: mostTokens(request), comparesHidden: true });
  try {
    const first = await rows.prefill(prompts, request.images);
    let logits: readonly Logits[] = await logitRows(first);
    disposePrediction(first);
    let sources = prompts.map((_, row) => row);
    for (let done = 1;; done++) {
      await rows.select(sources.flatMap((source) => repeated(source, topK)));
      const choices = await rowByRow(
        logits,
        (own, row) => likelyTokens(penalizeRepetition(own, repetitionPenalty, answers.textOf(row)), topK),
      );
      const positions = [...answers.nextPositions()].flatMap((position) => repeated(position, topK));
      const tried = await rows.decode(
        Int32Array.from(choices.flat(), ({ token }) => token),
        Int32Array.from(positions),
      );
      const similarities = toFloat32(await tried.similarity!.read());
      const triedLogits = await logitRows(tried);
      disposePrediction(tried);
      const chosen = choices.map((tokens, row) =>
        likeliest(
          Float32Array.from(tokens, ({ probability }, i) =>
            (1 - penaltyAlpha) * probability - penaltyAlpha * similarities[row * topK + i]!),
        )
      );
      yield {
        done,
        total: answers.most,
        tokens: answers.add(chosen.map((choice, row) => choices[row]![choice]!.token)),
      };
      if (signal?.aborted || answers.ended) return [...answers.tokens];
      sources = chosen.map((choice, row) => row * topK + choice);
      logits = sources.map((source) => triedLogits[source]!);
    }
  } finally {
    rows.dispose();
  }
};

function repeated(value: number, count: number): number[] {
  return new Array<number>(count).fill(value);
}

/** The likeliest tokens, likeliest first, and their probabilities. */
function likelyTokens(logits: Logits, count: number): { readonly token: number; readonly probability: number }[] {
  const normalizer = logSumExp(logits);
  return likeliestTokens(logits, count).map((token) => ({
    token,
    probability: Math.exp(logits[token]! - normalizer),
  }));
}
