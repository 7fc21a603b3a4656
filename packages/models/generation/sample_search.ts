/** One token after the other, the likeliest or drawn. */
import { disposePrediction, type Prediction } from "./decoder_programs.ts";
import { likeliest, penalizeRepetition } from "./logit_filters.ts";
import { sampleToken, type Sampling } from "./sampling.ts";
import { Answers, logitRows, mostTokens, rowByRow, type Search } from "./search.ts";

/** Chooses a token per row and step. */
export const sampleSearch: Search = async function* (decoder, request) {
  const { prompts, images, signal, sampling } = request;
  const answers = new Answers(request);
  const rows = decoder.open({ batch: prompts.length, mostTokens: mostTokens(request) });
  try {
    let prediction = await rows.prefill(prompts, images);
    for (let done = 1;; done++) {
      const next = await choose(prediction, sampling, answers);
      yield { done, total: answers.most, tokens: answers.add(next) };
      if (signal?.aborted || answers.ended) return [...answers.tokens];
      prediction = await rows.decode(next, answers.positions);
    }
  } finally {
    rows.dispose();
  }
};

/** The next token of each row. Only one number per row is read where the likeliest is wanted. */
async function choose(
  prediction: Prediction,
  sampling: Sampling,
  answers: Answers,
): Promise<Int32Array<ArrayBuffer>> {
  const { temperature, repetitionPenalty } = sampling;
  try {
    if (temperature === 0 && repetitionPenalty === 1) return Int32Array.from((await prediction.token.read()).data);
    const tokens = await rowByRow(await logitRows(prediction), (own, row) => {
      const logits = repetitionPenalty === 1 ? own : penalizeRepetition(own, repetitionPenalty, answers.textOf(row));
      return temperature === 0 ? likeliest(logits) : sampleToken(logits, sampling, row, answers.tokens[row]!.length);
    });
    return Int32Array.from(tokens);
  } finally {
    disposePrediction(prediction);
  }
}
