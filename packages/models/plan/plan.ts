/**
 * What training takes, worked out before anything is loaded: memory per device, what devices send each other, arithmetic, and
 * the time that this takes at best on given hardware.
 *
 * The program that would run is traced, differentiated and sharded over the mesh, and then counted. Weights and optimizer are
 * exact. A step's values are what the memory planner says of the program's parts, one after the other.
 */
import type { Graph } from "@tessera/core";
import { deviceCount, type Distribution, partsOf, splitAt, type Traffic, trafficOf } from "@tessera/mesh";
import {
  countParameters,
  donations,
  shardProgram,
  storedSharding,
  type TracedProgram,
  type Variable,
} from "@tessera/nn";
import { memoryOn } from "@tessera/backends";
import { cutSteps, type MemoryOfRun, memoryOfSteps, type Steps } from "@tessera/runtime";
import { checkOptions, type OptionNames } from "@tessera/text";
import { accumulatorsOf, type Optimizer, traceTrainStep } from "@tessera/train";
import type { Backbone } from "../architecture/backbone.ts";
import { cacheVariables, variablesOfCache } from "../generation/cache.ts";
import { trainable } from "../task/forward.ts";
import type { Hardware } from "./hardware.ts";
import { type Part, type StepTime, stepTime } from "./step_time.ts";

/** What is to be trained. */
export interface Training {
  /** The model, with its adapters, without values. */
  readonly backbone: Backbone;
  /** What turns gradients into updates. */
  readonly optimizer: Optimizer;
  /** The number of sequences in a batch, on all devices together. */
  readonly batchSize: number;
  /** The number of tokens in a sequence. */
  readonly length: number;
  /** The number of batches per update; 1 unless given. */
  readonly gradientAccumulationSteps?: number;
}

/** What runs it. */
export interface PlanOptions {
  /** How it lies on a mesh; `null` for one device. */
  readonly distribution: Distribution | null;
  /** What one device can do. */
  readonly hardware: Hardware;
  /** The most bytes that a run of a graph allocates; as ONNX Runtime plans it on such hardware unless given. */
  readonly memoryOf?: MemoryOfRun;
}

const trainingNames: OptionNames<Training> = {
  backbone: true,
  optimizer: true,
  batchSize: true,
  length: true,
  gradientAccumulationSteps: true,
};

/** The names of `PlanOptions`. */
export const planOptionNames: OptionNames<PlanOptions> = { distribution: true, hardware: true, memoryOf: true };

/** Memory of one device, in bytes. */
export interface DeviceMemory {
  /** The weights, those of adapters included. */
  readonly weights: number;
  /** The optimizer's variables. */
  readonly optimizer: number;
  /** The sums of the gradients of several batches; 0 where each batch is an update. */
  readonly accumulators: number;
  /** The most that values made in a step take at a time, gradients included. */
  readonly activations: number;
  /** All gradients; few of them may exist while activations take the most. */
  readonly gradients: number;
  /** Weights, optimizer, accumulators and activations: the peak while training. */
  readonly training: number;
  /** The key/value cache of a batch, when generating. */
  readonly cache: number;
  /** What a device has. */
  readonly available: number;
}

/** When in a step something is sent. */
export type Direction = "forward" | "backward";

/** The collectives of one kind over one group of mesh axes, in one direction. */
export interface DirectedTraffic extends Traffic {
  /** Whether the loss waits for them, or the gradients and the update do. */
  readonly direction: Direction;
}

/** What training takes. */
export interface TrainingPlan {
  /** The axes of the mesh; none for one device. */
  readonly mesh: readonly { readonly name: string; readonly size: number }[];
  /** The number of devices. */
  readonly devices: number;
  /** The shape of a batch, filled up so that it divides. */
  readonly batch: { readonly rows: number; readonly length: number; readonly rowsPerDevice: number };
  /** The number of parameters, of adapters too, and of those that are trained. */
  readonly parameters: { readonly total: number; readonly trainable: number };
  /** The number of decoder blocks. */
  readonly layers: number;
  /** Memory of each device. */
  readonly memory: DeviceMemory;
  /** What each device sends in a step. */
  readonly traffic: readonly DirectedTraffic[];
  /** Floating-point operations of each device in a step. */
  readonly operations: number;
  /** What a step takes at best, in seconds. */
  readonly time: StepTime;
  /** Tokens per second on all devices together, at best. */
  readonly tokensPerSecond: number;
}

/** A traced training step, which can be planned for several meshes. */
export interface TracedTraining {
  /** What is to be trained. */
  readonly training: Training;
  /** The step. */
  readonly step: TracedProgram;
}

/** Traces the training step of a batch whose rows are filled up to a multiple of some number, among which they are shared. */
export function traceTraining(training: Training, multiple: number): TracedTraining {
  const { backbone, optimizer, batchSize, length } = training;
  const rows = Math.ceil(batchSize / multiple) * multiple;
  return { training, step: traceTrainStep(trainable(backbone), optimizer, rows, length, multiple) };
}

/**
 * Works out what training takes.
 *
 * @throws {TypeError} when an option has an unknown name.
 * @throws {RangeError} when a variable cannot be sharded as its layout says.
 */
export function planTraining(training: Training, options: PlanOptions): TrainingPlan {
  checkOptions("plan training", training, trainingNames);
  checkOptions("plan training", options, planOptionNames);
  return planTraced(traceTraining(training, options.distribution?.numModelReplicas ?? 1), options);
}

/** Works out what a traced training step takes. Throws what `planTraining` throws. */
export function planTraced({ training, step }: TracedTraining, options: PlanOptions): TrainingPlan {
  const { backbone, optimizer, length } = training;
  const { distribution, hardware, memoryOf = memoryOn(hardware) } = options;
  const mesh = distribution?.mesh.axes ?? [];
  const [rows] = step.graph.inputs[0]!.shape as [number];
  const graph = distribution === null ? step.graph : shardProgram(step, distribution).graph;
  const donate = donations(step);
  const bytes = (variables: readonly Variable[]) => localBytes(variables, distribution);
  const weights = bytes(backbone.variables);
  const slots = bytes(optimizer.variables);
  const isAccumulated = (training.gradientAccumulationSteps ?? 1) > 1;
  const trainedVariables = backbone.variables.filter((variable) => variable.trainable);
  const accumulators = isAccumulated ? bytes([...accumulatorsOf(trainedVariables).values()]) : 0;
  const steps = distribution === null ? null : cutSteps(graph, donate);
  const activations = steps === null ? memoryOf(graph, donate) : memoryOfSteps(steps, memoryOf);
  const { total, trainable: trained } = countParameters(backbone.variables);
  const traffic = trafficIn(graph);
  const parts = steps === null ? [{ graph, count: 1 }] : partsOfSteps(steps);
  const time = stepTime(parts, bytes(step.updated), traffic, backbone.compute, hardware);
  return {
    mesh,
    devices: distribution === null ? 1 : deviceCount(distribution.mesh),
    batch: { rows, length, rowsPerDevice: rows / (distribution?.numModelReplicas ?? 1) },
    parameters: { total, trainable: trained },
    layers: backbone.numLayers,
    memory: {
      weights,
      optimizer: slots,
      accumulators,
      activations,
      gradients: bytes(trainedVariables),
      training: weights + slots + accumulators + activations,
      cache: bytes(variablesOfCache(cacheVariables(backbone, rows, length))),
      available: hardware.memory,
    },
    traffic,
    operations: time.operations,
    time,
    tokensPerSecond: rows * length / time.step,
  };
}

/** What a device holds of some variables, in bytes. */
function localBytes(variables: readonly Variable[], distribution: Distribution | null): number {
  if (distribution === null) return variables.reduce((sum, { bytes }) => sum + bytes, 0);
  return variables.reduce((sum, variable) => {
    const { dims } = storedSharding(variable, distribution);
    return sum + variable.bytes / dims.reduce((parts, axes) => parts * partsOf(distribution.mesh, axes), 1);
  }, 0);
}

/** The collectives of a step: those that the loss, the first output, waits for, and the others. */
function trafficIn(graph: Graph): DirectedTraffic[] {
  const { before, after } = splitAt(graph, graph.outputs.slice(0, 1));
  const directed = { forward: before, backward: after } as const;
  return (["forward", "backward"] as const).flatMap((direction) =>
    trafficOf({ nodes: directed[direction] }).map((traffic) => ({ ...traffic, direction }))
  );
}

/** The programs of a plan's segments; those that compute the same are one. */
function partsOfSteps({ steps }: Steps): Part[] {
  const byKey = new Map<string, Part>();
  for (const step of steps) {
    if (step.kind === "exchange") continue;
    byKey.set(step.key, { graph: step.graph, count: (byKey.get(step.key)?.count ?? 0) + 1 });
  }
  return [...byKey.values()];
}
