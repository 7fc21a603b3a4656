/** One token after the other, the likeliest or drawn. */
import { disposePrediction, type Prediction } from "./decoder_programs.ts";
import { likeliest, penalizeRepetition } from "./logit_filters.ts";
import { sampleToken } from "./sampling.ts";
import { type GenerateTokens, logitRows, mostTokens, roomOf, type Search } from "./search.ts";

/** Chooses a token per row and step. */
export const sampleSearch: Search = async function* (decoder, request) {
  const { prompts, stopTokenIds, endsWith, signal } = request;
  const room = roomOf(request);
  const total = Math.max(...room);
  const answers: number[][] = prompts.map(() => []);
  const ended = prompts.map(() => false);
  const positions = Int32Array.from(prompts, (prompt) => prompt.length);
  const rows = decoder.open({ batch: prompts.length, mostTokens: mostTokens(request) });
  try {
    let prediction = await rows.prefill(prompts);
    for (let done = 1;; done++) {
      const next = await choose(prediction, request, answers);
      const tokens = prompts.map((_, row) => {
        if (ended[row]) return null;
        const token = next[row]!;
        const answer = answers[row]!;
        const stops = stopTokenIds.has(token);
        if (!stops) answer.push(token);
        ended[row] = stops || answer.length >= room[row]! || (endsWith?.(answer, row) ?? false);
        return stops ? null : token;
      });
      yield { done, total, tokens };
      if (signal?.aborted || ended.every(Boolean)) return answers;
      prediction = await rows.decode(next, positions);
      // A row that has ended goes on with the others, at a place that it has no more use for.
      for (const row of positions.keys()) if (!ended[row]) positions[row]!++;
    }
  } finally {
    rows.dispose();
  }
};

/** The next token of each row. Only one number per row is read where the likeliest is wanted. */
async function choose(
  prediction: Prediction,
  { prompts, sampling }: GenerateTokens,
  answers: readonly (readonly number[])[],
): Promise<Int32Array<ArrayBuffer>> {
  const { temperature, repetitionPenalty } = sampling;
  try {
    if (temperature === 0 && repetitionPenalty === 1) return Int32Array.from((await prediction.token.read()).data);
    const rows = await logitRows(prediction);
    return Int32Array.from(rows, (row, i) => {
      const answer = answers[i]!;
      const logits = repetitionPenalty === 1
        ? row
        : penalizeRepetition(row, repetitionPenalty, [...prompts[i]!, ...answer]);
      return temperature === 0 ? likeliest(logits) : sampleToken(logits, sampling, i, answer.length);
    });
  } finally {
    disposePrediction(prediction);
  }
}
