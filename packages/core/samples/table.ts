/** The samples of every op, in one table. */
import type { LocalOps, OpName } from "../ops/table.ts";
import {
  activationSamples,
  attentionSamples,
  lossSamples,
  normalizationSamples,
  optimizationSamples,
  rotarySamples,
} from "./composites.ts";
import { elementwiseSamples } from "./elementwise.ts";
import { contractionSamples, indexingSamples, movementSamples } from "./movement.ts";
import { quantizationSamples } from "./quantization.ts";
import { creationSamples, reductionSamples } from "./reduction.ts";
import type { Sample, SampleTable } from "./sample.ts";

/** Samples of every op that one device computes: an op without any is a type error. */
export const samples: SampleTable<LocalOps> = {
  ...creationSamples,
  ...elementwiseSamples,
  ...reductionSamples,
  ...contractionSamples,
  ...movementSamples,
  ...indexingSamples,
  ...activationSamples,
  ...normalizationSamples,
  ...rotarySamples,
  ...attentionSamples,
  ...lossSamples,
  ...quantizationSamples,
  ...optimizationSamples,
};

/** Every sample with the name of its op, for tests that treat all ops alike. */
export function allSamples(): { readonly op: OpName; readonly sample: Sample }[] {
  return Object.entries(samples).flatMap(([op, list]) =>
    (list as readonly Sample[]).map((sample) => ({ op: op as OpName, sample }))
  );
}
