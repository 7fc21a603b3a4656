/**
 * Learning rates over time, as plain records that a config file or a checkpoint can hold.
 *
 * A step counts updates of the weights, not micro-batches, so gradient accumulation does not change a schedule (in Keras
 * it does). The first update is step 0. Warm-up climbs in equal parts and never yields 0, so that no update is wasted;
 * the peak falls on step `warmupSteps`, from where the decay runs and reaches its end at step `totalSteps`.
 */

import { nearestName } from "@tessera/text";

/** What every schedule has. */
export interface PeakedSchedule {
  /** The highest learning rate. */
  readonly peak: number;
  /** The number of updates that climb to the peak; 0 when absent. */
  readonly warmupSteps?: number;
}

/** What every schedule has that ends. */
export interface DecayingSchedule extends PeakedSchedule {
  /** The number of updates in all, warm-up included; later updates keep the last rate. */
  readonly totalSteps: number;
  /** The share of the peak at which the decay ends; 0 when absent. */
  readonly finalFraction?: number;
}

/** A learning rate that stays at its peak after the warm-up. */
export interface ConstantSchedule extends PeakedSchedule {
  /** Names the kind. */
  readonly type: "constant";
}

/** A learning rate that falls on a straight line after the warm-up. */
export interface LinearSchedule extends DecayingSchedule {
  /** Names the kind. */
  readonly type: "linear";
}

/** A learning rate that falls on half a cosine wave after the warm-up (https://arxiv.org/abs/1608.03983, one cycle). */
export interface CosineSchedule extends DecayingSchedule {
  /** Names the kind. */
  readonly type: "cosine";
}

/** A learning rate that falls on half a cosine wave several times over (https://arxiv.org/abs/1608.03983). */
export interface CosineRestartsSchedule extends DecayingSchedule {
  /** Names the kind. */
  readonly type: "cosineRestarts";
  /** The number of times that it falls, each as long as the others. */
  readonly cycles: number;
}

/** A learning rate that falls with the root of the step after the warm-up (https://arxiv.org/abs/1706.03762, §5.3). */
export interface InverseSqrtSchedule extends PeakedSchedule {
  /** Names the kind. */
  readonly type: "inverseSqrt";
  /** The share of the peak below which it does not fall; 0 when absent. */
  readonly finalFraction?: number;
}

/** A learning rate over time. */
export type Schedule =
  | ConstantSchedule
  | LinearSchedule
  | CosineSchedule
  | CosineRestartsSchedule
  | InverseSqrtSchedule;

interface Kind<S extends Schedule> {
  readonly fields: readonly Exclude<keyof S, "type">[];
  /** The share of the peak at a step that is past the warm-up. */
  fraction(schedule: S, step: number): number;
}

function decayed(progress: number, finalFraction: number): number {
  return finalFraction + (1 - finalFraction) * (1 - progress);
}

function halfCosine(progress: number): number {
  return (1 - Math.cos(Math.PI * progress)) / 2;
}

function progressAt({ warmupSteps = 0, totalSteps }: DecayingSchedule, step: number): number {
  return Math.min(1, (step - warmupSteps) / (totalSteps - warmupSteps));
}

const kinds: { readonly [K in Schedule["type"]]: Kind<Extract<Schedule, { type: K }>> } = {
  constant: { fields: ["peak", "warmupSteps"], fraction: () => 1 },
  linear: {
    fields: ["peak", "warmupSteps", "totalSteps", "finalFraction"],
    fraction: (schedule, step) => decayed(progressAt(schedule, step), schedule.finalFraction ?? 0),
  },
  cosine: {
    fields: ["peak", "warmupSteps", "totalSteps", "finalFraction"],
    fraction: (schedule, step) => decayed(halfCosine(progressAt(schedule, step)), schedule.finalFraction ?? 0),
  },
  cosineRestarts: {
    fields: ["peak", "warmupSteps", "totalSteps", "finalFraction", "cycles"],
    fraction(schedule, step) {
      const progress = progressAt(schedule, step);
      const cycle = progress === 1 ? 1 : (progress * schedule.cycles) % 1;
      return decayed(halfCosine(cycle), schedule.finalFraction ?? 0);
    },
  },
  inverseSqrt: {
    fields: ["peak", "warmupSteps", "finalFraction"],
    fraction({ warmupSteps = 0, finalFraction = 0 }, step) {
      const since = Math.max(1, warmupSteps);
      return Math.max(finalFraction, Math.sqrt(since / Math.max(since, step)));
    },
  },
};

/** The names of the kinds of schedule. */
export const scheduleTypes: readonly Schedule["type"][] = Object.keys(kinds) as Schedule["type"][];

/** What each field must be, and how to say so. */
const rules: Readonly<Record<string, readonly [test: (value: number) => boolean, expected: string]>> = {
  peak: [(value) => value >= 0 && Number.isFinite(value), "a number of at least 0"],
  warmupSteps: [(value) => Number.isInteger(value) && value >= 0, "a whole number of at least 0"],
  totalSteps: [(value) => Number.isInteger(value) && value >= 1, "a whole number of at least 1"],
  finalFraction: [(value) => value >= 0 && value <= 1, "a number between 0 and 1"],
  cycles: [(value) => Number.isInteger(value) && value >= 1, "a whole number of at least 1"],
};

const optional: ReadonlySet<string> = new Set(["warmupSteps", "finalFraction"]);

function hint(name: string, known: readonly string[]): string {
  const near = nearestName(name, known);
  return near === null ? `expected one of ${known.join(", ")}` : `did you mean "${near}"?`;
}

/**
 * Checks that a value is a schedule, such as one from a config file.
 *
 * @throws {TypeError} when it is no record, or a field is missing, unknown or not a number.
 * @throws {RangeError} when a field is out of range, or the warm-up is longer than the whole.
 */
export function checkSchedule(value: unknown): asserts value is Schedule {
  if (typeof value !== "object" || value === null || !("type" in value)) {
    throw new TypeError(
      `Cannot use ${JSON.stringify(value)} as a learning-rate schedule: expected a record such as ` +
        `{ "type": "constant", "peak": 1e-4 }`,
    );
  }
  const type = value.type as Schedule["type"];
  if (!scheduleTypes.includes(type)) {
    throw new TypeError(`Cannot use a learning-rate schedule of type "${type}": ${hint(String(type), scheduleTypes)}`);
  }
  const fields: readonly string[] = kinds[type].fields;
  for (const name of Object.keys(value)) {
    if (name === "type" || fields.includes(name)) continue;
    throw new TypeError(`Cannot use the ${type} schedule: unknown field "${name}"; ${hint(name, fields)}`);
  }
  const given = value as Readonly<Record<string, unknown>>;
  for (const name of fields) {
    const field = given[name];
    if (field === undefined && optional.has(name)) continue;
    const [isRight, expected] = rules[name]!;
    if (typeof field !== "number") {
      const found = field === undefined ? "is missing" : `is ${JSON.stringify(field)}`;
      throw new TypeError(`Cannot use the ${type} schedule: "${name}" ${found}; expected ${expected}`);
    }
    if (!isRight(field)) {
      throw new RangeError(`Cannot use the ${type} schedule: "${name}" is ${field}; expected ${expected}`);
    }
  }
  const { warmupSteps = 0, totalSteps = Infinity } = value as Partial<DecayingSchedule>;
  if (warmupSteps >= totalSteps) {
    throw new RangeError(
      `Cannot use the ${type} schedule: "warmupSteps" (${warmupSteps}) must be less than "totalSteps" (${totalSteps})`,
    );
  }
}

/**
 * The learning rate for one update of the weights; the first update is step 0.
 *
 * @throws {TypeError | RangeError} when the schedule or the step is not valid.
 */
export function learningRateAt(schedule: Schedule, step: number): number {
  checkSchedule(schedule);
  if (!Number.isInteger(step) || step < 0) {
    throw new RangeError(`Cannot take a learning rate at step ${step}: expected a whole number of at least 0`);
  }
  const { peak, warmupSteps = 0 } = schedule;
  if (step < warmupSteps) return peak * ((step + 1) / (warmupSteps + 1));
  return peak * (kinds[schedule.type] as Kind<Schedule>).fraction(schedule, step);
}
