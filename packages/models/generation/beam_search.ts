/** Following several texts per prompt at once, for the one that is the most likely as a whole. */
import { advanceBeams, type BeamSettings, bestAnswer, startBeams } from "./beams.ts";
import { disposePrediction, type Prediction } from "./decoder_programs.ts";
import { logProbabilities, penalizeRepetition } from "./logit_filters.ts";
import { logitRows, mostTokens, roomOf, rowByRow, type Search } from "./search.ts";

/** Searches with beams. Answers are settled at the end only, so its steps have no tokens. */
export const beamSearch: Search = async function* (decoder, request) {
  const { prompts, stopTokenIds, endsWith = () => false, signal, sampling } = request;
  const { numBeams, lengthPenalty, earlyStopping, repetitionPenalty } = sampling;
  const settings = roomOf(request).map((room, row): BeamSettings => ({
    ...{ numBeams, lengthPenalty, earlyStopping, stopTokenIds, room },
    endsWith: (tokens) => endsWith(tokens, row),
  }));
  const searches = prompts.map(() => startBeams(numBeams));
  const total = Math.max(...settings.map(({ room }) => room));
  const rows = decoder.open({ batch: prompts.length, mostTokens: mostTokens(request) });
  try {
    let prediction: Prediction = await rows.prefill(prompts, request.images);
    for (let done = 1;; done++) {
      const logits = await logitRows(prediction);
      disposePrediction(prediction);
      const sources: number[] = [];
      for (const [row, beams] of searches.entries()) {
        // There is one row of logits per prompt after the prompts, and then one per beam.
        const at = (beam: number) => done === 1 ? row : row * numBeams + beam;
        if (beams.ended) {
          beams.running.forEach((_, beam) => sources.push(at(beam)));
          continue;
        }
        const logProbs = await rowByRow(beams.running, ({ tokens }, beam) => {
          const own = logProbabilities(logits[at(beam)]!);
          if (repetitionPenalty === 1) return own;
          return penalizeRepetition(own, repetitionPenalty, [...prompts[row]!, ...tokens]);
        });
        const { beams: after, parents } = advanceBeams(beams, logProbs, settings[row]!);
        searches[row] = after;
        parents.forEach((parent) => sources.push(at(parent)));
      }
      yield { done, total, tokens: prompts.map(() => null) };
      if (signal?.aborted || searches.every(({ ended }) => ended)) {
        return searches.map((beams, row) => bestAnswer(beams, settings[row]!));
      }
      await rows.select(sources);
      const running = searches.flatMap((beams, row) =>
        // A search that has ended stays where it was.
        beams.running.map(({ tokens }) => ({
          token: tokens.at(-1)!,
          position: prompts[row]!.length + tokens.length - 1,
        }))
      );
      const next = Int32Array.from(running, ({ token }) => token);
      prediction = await rows.decode(next, Int32Array.from(running, ({ position }) => position));
    }
  } finally {
    rows.dispose();
  }
};
