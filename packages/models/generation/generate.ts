/** Text generation, as tokens: which search runs when. */
import type { Backend } from "@tessera/runtime";
import type { Backbone } from "../architecture/backbone.ts";
import { beamSearch } from "./beam_search.ts";
import { contrastiveSearch } from "./contrastive_search.ts";
import { Decoder } from "./decoder.ts";
import { sampleSearch } from "./sample_search.ts";
import type { SearchName } from "./sampling.ts";
import type { GenerateTokens, Search, SearchStep } from "./search.ts";

const searches: Readonly<Record<SearchName, Search>> = {
  sample: sampleSearch,
  beam: beamSearch,
  contrastive: contrastiveSearch,
};

/** Generates with one model. */
export class TokenGenerator {
  readonly #decoder: Decoder;
  /** The end of the calls of `generate` before this one. */
  #turn: Promise<unknown> = Promise.resolve();

  /** Prepares to generate; nothing is compiled yet. */
  constructor(backbone: Backbone, backend: Backend) {
    this.#decoder = new Decoder(backbone, backend);
  }

  /**
   * The tokens that follow each prompt, up to a stop token. Calls take turns, so that only one has a cache at a time.
   *
   * @throws the signal's reason, when it is aborted before there is a token.
   */
  generate(request: GenerateTokens, onStep?: (step: SearchStep) => void): Promise<number[][]> {
    const result = this.#turn.then(async () => {
      const steps = this.steps(request);
      try {
        for (;;) {
          const { done, value } = await steps.next();
          if (done) return value;
          onStep?.(value);
        }
      } finally {
        await steps.return([]);
      }
    });
    this.#turn = result.catch(() => {});
    return result;
  }

  /**
   * The steps of one generation as they come; returns the tokens that follow each prompt. It has a cache of its own, which it
   * frees when it ends or is ended, and others may continue meanwhile.
   */
  steps(request: GenerateTokens): AsyncGenerator<SearchStep, number[][]> {
    request.signal?.throwIfAborted();
    return searches[request.sampling.search](this.#decoder, request);
  }

  /** Frees programs. */
  dispose(): void {
    this.#decoder.dispose();
  }
}
