/** From a batch to hidden states, within a program that is being traced, without a cache. */
import { iota, type Tensor } from "@tessera/core";
import type { ForwardBatch, TrainableModel } from "@tessera/train";
import type { Backbone } from "../architecture/backbone.ts";
import { shownPositions } from "../generation/cache.ts";
import type { ScoredBatch } from "./scoring.ts";

/** The final hidden states of a batch, [batch, time, hidden]. */
export function hiddenStates(backbone: Backbone, { tokenIds, paddingMask, images, prefix }: ScoredBatch): Tensor {
  return backbone.hidden({
    tokenIds,
    positions: iota(tokenIds.shape, 1),
    keyPositions: shownPositions(paddingMask),
    ...(images === undefined ? {} : { images }),
    ...(backbone.images?.place !== "start" || prefix === undefined ? {} : { prefix }),
    cache: null,
  });
}

/** The final hidden states of a batch to learn, [batch, time, hidden]; where images stand before texts, the prompt is a prefix. */
export function trainingStates(backbone: Backbone, batch: ForwardBatch): Tensor {
  const { lossMask } = batch;
  const prefix = lossMask === undefined ? {} : { prefix: lossMask.argMax(1) };
  return hiddenStates(backbone, { ...batch, ...prefix });
}

/** A backbone as something that can be trained, without a task around it: for programs that are only traced. */
export function trainable(backbone: Backbone): TrainableModel {
  const { name, vocabularySize, images } = backbone;
  return {
    name,
    vocabularySize,
    images,
    get variables() {
      return backbone.variables;
    },
    hidden: (batch) => trainingStates(backbone, batch),
    logits: (hidden) => backbone.logits(hidden),
  };
}
