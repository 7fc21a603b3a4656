/** Which mesh to use: every way to lay a number of devices out, planned and ranked. */
import { virtualDevices } from "@tessera/mesh";
import { checkOptions, type OptionNames } from "@tessera/text";
import { distributionFor, type LayoutChoice, type MeshAxes } from "./distributions.ts";
import {
  type PlanOptions,
  planTraced,
  type TracedTraining,
  traceTraining,
  type Training,
  type TrainingPlan,
} from "./plan.ts";

/** A way to lay a model out over devices. */
export interface Candidate {
  /** The mesh. */
  readonly axes: MeshAxes;
  /** How the model lies on it. */
  readonly layout: LayoutChoice;
}

/** A way to lay a model out over devices, and what it takes. */
export interface Suggestion extends Candidate {
  /** What training takes so; `null` when the model cannot be laid out so. */
  readonly plan: TrainingPlan | null;
  /** Whether it fits into the memory of each device. */
  readonly fits: boolean;
  /** Why the model cannot be laid out so; `null` when it can. */
  readonly reason: string | null;
}

/** How meshes are planned. */
export interface SuggestOptions extends Omit<PlanOptions, "distribution"> {
  /** Called after each mesh with the number planned so far and the number in all. */
  readonly onProgress?: (done: number, total: number) => void;
}

const optionNames: OptionNames<SuggestOptions> = { hardware: true, memoryOf: true, onProgress: true };

/** The meshes of two axes that a number of devices can form, each with the published layout map, and the model replicated on all. */
export function candidatesFor(devices: number): Candidate[] {
  const sizes = Array.from({ length: devices }, (_, i) => i + 1).filter((size) => devices % size === 0);
  const split = sizes.map((batch) => ({ axes: { batch, model: devices / batch }, layout: "auto" } as const));
  return [...split, { axes: { batch: devices }, layout: "data-parallel" }];
}

/**
 * Plans training for every mesh of some devices, the best first: what fits before what does not, then the fastest, then the
 * smallest. What cannot be laid out so comes last, with the reason.
 *
 * @throws {TypeError} when an option has an unknown name.
 */
export async function suggestMeshes(
  training: Training,
  devices: number,
  options: SuggestOptions,
): Promise<Suggestion[]> {
  checkOptions("suggest meshes", options, optionNames);
  const candidates = candidatesFor(devices);
  const ids = virtualDevices(devices);
  const traced = new Map<string, TracedTraining>();
  const found: Suggestion[] = [];
  for (const candidate of candidates) {
    found.push(suggestionOf(candidate, training, ids, traced, options));
    options.onProgress?.(found.length, candidates.length);
    await new Promise((resolve) => setTimeout(resolve));
  }
  return found.sort(compare);
}

function suggestionOf(
  candidate: Candidate,
  training: Training,
  devices: readonly string[],
  traced: Map<string, TracedTraining>,
  options: Omit<PlanOptions, "distribution">,
): Suggestion {
  try {
    const distribution = distributionFor(training.backbone, candidate.axes, candidate.layout, devices);
    const replicas = distribution.numModelReplicas;
    const key = `${Math.ceil(training.batchSize / replicas)} ${replicas}`;
    const step = traced.get(key) ?? traceTraining(training, replicas);
    traced.set(key, step);
    const plan = planTraced(step, { ...options, distribution });
    return { ...candidate, plan, fits: plan.memory.training <= plan.memory.available, reason: null };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return { ...candidate, plan: null, fits: false, reason: error.message };
  }
}

function compare(a: Suggestion, b: Suggestion): number {
  if (a.plan === null || b.plan === null) return Number(a.plan === null) - Number(b.plan === null);
  if (a.fits !== b.fits) return Number(b.fits) - Number(a.fits);
  // What does not fit is ranked by how far it is from fitting.
  if (!a.fits) return a.plan.memory.training - b.plan.memory.training;
  return b.plan.tokensPerSecond - a.plan.tokensPerSecond || a.plan.memory.training - b.plan.memory.training;
}
