/**
 * Programs over variables: a traced function whose graph has, besides its batch inputs, one input per variable that it reads,
 * and one output per variable that it updates.
 */
import { formatType, type Graph, graphInput, sameType, type Tensor, type TensorType, trace } from "@tessera/core";
import type { Variable } from "./variable.ts";

/** A graph, and which of its inputs and outputs are variables. */
export interface TracedProgram {
  /** What is computed. */
  readonly graph: Graph;
  /** The names of the batch inputs, in the order of the graph's first inputs. */
  readonly batch: readonly string[];
  /** The variables read, in the order of the inputs that follow the batch. */
  readonly variables: readonly Variable[];
  /** The names of the outputs that a run returns; the outputs that follow are updates. */
  readonly outputs: readonly string[];
  /** The variables updated, in the order of the outputs that follow. */
  readonly updated: readonly Variable[];
  /** The values inside that layout maps can speak of, in the order in which they were computed. */
  readonly activations: readonly Activation[];
}

/** A value inside a program that has a path, such as `decoder_block_0/output`. */
export interface Activation {
  /** The path. */
  readonly path: string;
  /** The value. */
  readonly tensor: Tensor;
}

interface Recording {
  readonly inputs: Map<Variable, Tensor>;
  readonly updates: Map<Variable, Tensor>;
  readonly activations: Activation[];
}

const recordings: Recording[] = [];

function recording(what: string): Recording {
  const current = recordings.at(-1);
  if (current === undefined) {
    throw new TypeError(
      `Cannot ${what}: no program is being traced; do it inside the function given to traceProgram()`,
    );
  }
  return current;
}

/**
 * The stored array of a variable as an input of the program that is being traced.
 *
 * @throws {TypeError} when no program is being traced.
 */
export function programVariable(variable: Variable): Tensor {
  const { inputs } = recording(`read variable "${variable.path}"`);
  const known = inputs.get(variable) ?? graphInput(variable.path, variable.stored);
  inputs.set(variable, known);
  return known;
}

/**
 * Gives a variable a new stored value when the program that is being traced has run.
 *
 * @throws {TypeError} when no program is being traced, when the type differs, or when the program updates it twice.
 */
export function assign(variable: Variable, value: Tensor): void {
  const { updates } = recording(`assign to variable "${variable.path}"`);
  if (!sameType(value.type, variable.stored)) {
    throw new TypeError(
      `Cannot assign ${value} to variable "${variable.path}": it is stored as ${formatType(variable.stored)}`,
    );
  }
  if (updates.has(variable)) throw new TypeError(`Cannot assign to variable "${variable.path}" twice in one program`);
  programVariable(variable);
  updates.set(variable, value);
}

/** Gives the output of a layer a path, `<layer>/output`, by which layout maps can speak of it; returns the output. */
export function activation(layer: string, tensor: Tensor): Tensor {
  recordings.at(-1)?.activations.push({ path: `${layer}/output`, tensor });
  return tensor;
}

/** Traces a function of a batch that may read and assign variables. */
export function traceProgram<I extends Readonly<Record<string, TensorType>>>(
  name: string,
  batch: I,
  body: (batch: { readonly [K in keyof I]: Tensor }) => Readonly<Record<string, Tensor>>,
): TracedProgram {
  const current: Recording = { inputs: new Map(), updates: new Map(), activations: [] };
  recordings.push(current);
  try {
    let outputs: string[] = [];
    const graph = trace(name, batch, (inputs) => {
      const results = body(inputs);
      outputs = Object.keys(results);
      const updates = [...current.updates].map(([variable, value]) => [`new:${variable.path}`, value] as const);
      return { ...results, ...Object.fromEntries(updates) };
    });
    return {
      graph,
      batch: Object.keys(batch),
      variables: [...current.inputs.keys()],
      outputs,
      updated: [...current.updates.keys()],
      activations: current.activations,
    };
  } finally {
    recordings.pop();
  }
}
