/**
 * AdamW (Loshchilov and Hutter, arXiv 1711.05101), with exactly the published update: `adamWUpdate` of core.
 *
 * Momentum and velocity are float32 whatever the weights are. A weight that is stored in fewer bits gets a float32 master
 * copy as a third slot, because updates that are small beside it would otherwise round away.
 */
import { adamWUpdate, fromFloat32, type Tensor, toFloat32 } from "@tessera/core";
import { assign, disposeValues, putValue, putZeros, Variable, whereOf, zeros } from "@tessera/nn";
import type { Backend } from "@tessera/runtime";
import { checkOptions, type OptionNames } from "@tessera/text";
import { defaults } from "./defaults.ts";
import { createPacer } from "./data/pace.ts";
import { checkSchedule, learningRateAt, type Schedule } from "./schedules.ts";

/** The variables that an optimizer keeps for one variable of the model. */
export interface Slots {
  /** The running mean of the gradient. */
  readonly momentum: Variable;
  /** The running mean of the squared gradient. */
  readonly velocity: Variable;
  /** The weight in float32, where the model stores it in fewer bits. */
  readonly master: Variable | null;
}

/** Numbers that change with every update, scalar inputs of the training program. */
export interface StepScalars {
  /** The learning rate. */
  readonly learningRate: Tensor;
  /** 1 / (1 - β₁ᵗ). */
  readonly momentumCorrection: Tensor;
  /** 1 / (1 - β₂ᵗ). */
  readonly velocityCorrection: Tensor;
}

/** What AdamW is made from. */
export interface AdamWOptions {
  /** The learning rate, or how it changes over updates; 2e-4 unless given. */
  readonly learningRate?: number | Schedule;
  /** The decay λ, which is not divided by the velocity; 0.01 unless given. */
  readonly weightDecay?: number;
  /** The decay rate of the momentum; 0.9 unless given. */
  readonly beta1?: number;
  /** The decay rate of the velocity; 0.999 unless given. */
  readonly beta2?: number;
  /** Added to the root of the corrected velocity; 1e-8 unless given. */
  readonly epsilon?: number;
  /** Gradients are scaled down together so that their joint norm is at most this; no limit unless given. */
  readonly globalClipNorm?: number | null;
  /** Variables without decay: a regular expression that must match somewhere in the path. */
  readonly excludeFromWeightDecay?: readonly (string | RegExp)[];
}

const optionNames: OptionNames<AdamWOptions> = {
  learningRate: true,
  weightDecay: true,
  beta1: true,
  beta2: true,
  epsilon: true,
  globalClipNorm: true,
  excludeFromWeightDecay: true,
};

/** An optimizer: options, the slots it keeps, and its update as ops. */
export interface Optimizer {
  /** The name that its variables' paths begin with. */
  readonly name: string;
  /** What it was made from, defaults included, as a record for JSON: a checkpoint of another optimizer is told by it. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** The largest joint norm of the gradients; `null` for no limit. */
  readonly globalClipNorm: number | null;
  /** All slots so far, in the order of the model's variables. */
  readonly variables: readonly Variable[];
  /** The learning rate of an update, the first being update 0. */
  learningRate(update: number): number;
  /** The scalars of an update, the first being update 0. */
  scalars(update: number): { readonly [K in keyof StepScalars]: number };
  /** Makes the slots of variables that have none yet, without values, so that they are known and can be laid out on a mesh. */
  prepare(variables: readonly Variable[]): void;
  /**
   * Makes the slots of variables that have none yet, fills them, and frees those of variables that are not among these. Throws
   * when a variable has no value.
   */
  build(variables: readonly Variable[], backend: Backend): Promise<void>;
  /** Appends the update of one variable to the program that is being traced. */
  update(variable: Variable, gradient: Tensor, scalars: StepScalars): void;
}

function checkRange(name: string, value: number, ok: boolean, expected: string): void {
  if (!ok || !Number.isFinite(value)) {
    throw new RangeError(`Cannot make AdamW: ${name} must be ${expected}, found ${value}`);
  }
}

/**
 * AdamW.
 *
 * @throws {TypeError} when an option has an unknown name.
 * @throws {RangeError} when an option is out of range.
 */
export function adamW(options: AdamWOptions = {}): Optimizer {
  checkOptions("make AdamW", options, optionNames);
  const {
    weightDecay = defaults.weightDecay,
    beta1 = defaults.beta1,
    beta2 = defaults.beta2,
    epsilon = 1e-8,
    globalClipNorm = null,
  } = options;
  const { learningRate = defaults.learningRate } = options;
  const schedule: Schedule = typeof learningRate === "number" ? { type: "constant", peak: learningRate } : learningRate;
  checkSchedule(schedule);
  checkRange("weightDecay", weightDecay, weightDecay >= 0, "at least 0");
  checkRange("beta1", beta1, beta1 >= 0 && beta1 < 1, "at least 0 and below 1");
  checkRange("beta2", beta2, beta2 >= 0 && beta2 < 1, "at least 0 and below 1");
  checkRange("epsilon", epsilon, epsilon > 0, "a positive number");
  if (globalClipNorm !== null) checkRange("globalClipNorm", globalClipNorm, globalClipNorm > 0, "a positive number");
  const excluded = (options.excludeFromWeightDecay ?? []).map(decayPattern);
  const slots = new Map<Variable, Slots>();
  const slotsOf = (variable: Variable) => {
    const known = slots.get(variable) ?? makeSlots(variable);
    slots.set(variable, known);
    return known;
  };
  return {
    name: "adamw",
    settings: {
      learningRate: schedule,
      weightDecay,
      beta1,
      beta2,
      epsilon,
      globalClipNorm,
      excludeFromWeightDecay: excluded.map(String),
    },
    globalClipNorm,
    get variables() {
      return [...slots.values()].flatMap(slotVariables);
    },
    learningRate: (update) => learningRateAt(schedule, update),
    scalars: (update) => ({
      learningRate: learningRateAt(schedule, update),
      momentumCorrection: 1 / (1 - beta1 ** (update + 1)),
      velocityCorrection: 1 / (1 - beta2 ** (update + 1)),
    }),
    prepare: (variables) => variables.forEach(slotsOf),
    build: async (variables, backend) => {
      for (const variable of slots.keys()) {
        if (variables.includes(variable)) continue;
        disposeValues(slotVariables(slots.get(variable)!));
        slots.delete(variable);
      }
      const rest = createPacer();
      for (const variable of variables) {
        await fillSlots(variable, slotsOf(variable), backend);
        await rest();
      }
    },
    update: (variable, gradient, scalars) => {
      const { momentum, velocity, master } = slotsOf(variable);
      const decay = excluded.some((pattern) => pattern.test(variable.path)) ? 0 : weightDecay;
      const state = {
        weight: (master ?? variable).raw(),
        momentum: momentum.raw(),
        velocity: velocity.raw(),
      };
      const step = { gradient: gradient.cast("float32"), ...scalars };
      const next = adamWUpdate(state, step, { beta1, beta2, epsilon, weightDecay: decay });
      assign(momentum, next.momentum);
      assign(velocity, next.velocity);
      if (master !== null) assign(master, next.weight);
      assign(variable, next.weight.cast(variable.dtype));
    },
  };
}

/** A pattern without the flags that make `test` depend on the calls before it. */
function decayPattern(pattern: string | RegExp): RegExp {
  return typeof pattern === "string"
    ? new RegExp(pattern)
    : new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ""));
}

function slotVariables({ momentum, velocity, master }: Slots): Variable[] {
  return master === null ? [momentum, velocity] : [momentum, velocity, master];
}

function makeSlots(variable: Variable): Slots {
  const slot = (name: string) =>
    new Variable(`adamw/${variable.path.replaceAll("/", "_")}_${name}`, {
      shape: variable.shape,
      order: variable.order,
      initializer: zeros(),
      trainable: false,
      follows: { variable, axes: [...variable.shape.keys()] },
    });
  return {
    momentum: slot("momentum"),
    velocity: slot("velocity"),
    master: variable.dtype === "float32" ? null : slot("master"),
  };
}

async function fillSlots(variable: Variable, { momentum, velocity, master }: Slots, backend: Backend): Promise<void> {
  const { value } = variable;
  if (value === null) throw new TypeError(`Cannot train ${variable}: it has no value; load or initialize it first`);
  const where = whereOf(variable);
  for (const slot of [momentum, velocity]) {
    if (slot.value === null) putZeros(slot, backend, where);
  }
  if (master !== null && master.value === null) {
    const wide = fromFloat32("float32", master.stored.shape, toFloat32(await value.read()));
    putValue(master, wide, backend, where);
  }
}
