/** Compiled graphs: a list of steps that an interpreter goes through, with the moment at which each value is freed. */

import {
  decompose,
  type Graph,
  type GraphNode,
  isCollective,
  legalize,
  type Lowering,
  type OpName,
  optimizations,
  type Tensor,
} from "@tessera/core";
import { type CompileOptions, type Device, type Excess, type Executable, formatExcess } from "@tessera/runtime";
import { checkDonations, checkInputs, deviceOfRun, pause, runPhases, whenAllFree } from "@tessera/runtime/support";
import { TfjsBuffer } from "./buffer.ts";
import { type Engine, release, retain, type Value } from "./engine/engine.ts";
import { inWorkspace, type Workspace } from "./lowering/workspace.ts";
import { tfjsSupport } from "./support.ts";

/** How long a run may keep the event loop, in milliseconds. */
const sliceMs = 8;

type AnyRule = (workspace: Workspace, operands: readonly Value[], attrs: unknown, node: GraphNode) => readonly Value[];

/** What an engine computes at once. */
export interface Step {
  /** The op that it computes; several have none. */
  readonly op?: OpName;
  /** What it reads. */
  readonly operands: readonly Tensor[];
  /** What it computes. */
  readonly results: readonly Tensor[];
  /** Computes it. */
  readonly run: (workspace: Workspace, operands: readonly Value[]) => readonly Value[];
}

/** How an engine computes graphs. */
export interface Target {
  /** What computes. */
  readonly engine: Engine;
  /** One rule per op. */
  readonly table: Lowering<Workspace, Value>;
  /** The steps of a prepared graph, in an order in which they can run; one per node unless given. */
  readonly steps?: (graph: Graph) => readonly Step[];
  /** What in a prepared graph exceeds the engine's limits; `null` when all fits. */
  readonly excess?: (graph: Graph, steps: readonly Step[]) => Excess | null;
}

/** A step, and the values that nobody needs after it. */
interface PlannedStep extends Step {
  readonly last: readonly Tensor[];
  /** Which of its results something reads. */
  readonly needed: readonly boolean[];
}

/** A node by its rule. */
export function nodeStep(table: Lowering<Workspace, Value>, node: GraphNode): Step {
  if (isCollective(node.op)) throw new TypeError(`Cannot lower "${node.op}": an executor runs it between two programs`);
  const rule = table[node.op] as AnyRule;
  const { operands, results, attrs } = node;
  return { op: node.op, operands, results, run: (workspace, values) => rule(workspace, values, attrs, node) };
}

/** A graph as an engine runs it. */
async function prepare({ table, steps }: Target, graph: Graph) {
  const prepared = await runPhases(graph, [
    (current) => decompose(current, (op) => table[op] !== "decompose"),
    (current) => legalize(current, tfjsSupport),
    ...optimizations,
  ]);
  return {
    prepared,
    steps: planned(prepared, steps?.(prepared) ?? prepared.nodes.map((node) => nodeStep(table, node))),
  };
}

/** What in a graph exceeds an engine's limits, without compiling it; `null` when all fits. */
export async function excessIn(target: Target, graph: Graph): Promise<Excess | null> {
  const { prepared, steps } = await prepare(target, graph);
  return target.excess?.(prepared, steps) ?? null;
}

/**
 * Compiles a graph for an engine.
 *
 * @throws {TypeError} when a donated input and its output have different types, or when the graph has a collective.
 * @throws {RangeError} when a tensor is larger than the engine can take, naming it, with its size and the limit.
 */
export async function compileGraph(
  target: Target,
  graph: Graph,
  options: CompileOptions,
): Promise<Executable> {
  const { donate } = options;
  const { engine } = target;
  checkDonations(graph, donate);
  const { prepared, steps } = await prepare(target, graph);
  const excess = target.excess?.(prepared, steps) ?? null;
  if (excess !== null) {
    throw new RangeError(
      `Cannot compile "${graph.name}": ${
        formatExcess(excess)
      }; use a smaller batch, shorter sequences, or LoRA instead of training the whole table`,
    );
  }
  const donors = new Map([...donate ?? []].map(([input, output]) => [output, input]));
  return {
    graph,
    run: async (inputs) => {
      const device = deviceOfRun(options, inputs);
      const buffers = checkInputs(graph, device, inputs, (buffer) => buffer instanceof TfjsBuffer);
      const donated = new Set([...donors.values()].map((input) => buffers[input]!));
      return await whenAllFree(buffers, donated, async () => {
        const given = new Set([...donors.values()].map((input) => prepared.inputs[input]!));
        const values = await interpret(
          engine,
          { graph: prepared, steps, given },
          buffers.map((buffer) => buffer.value),
        );
        return values.map((value, output) => deliver(engine, device, value, buffers[donors.get(output) ?? -1]));
      });
    },
    dispose: () => {},
  };
}

/** An output in the buffer that was donated for it, or in a fresh one. */
function deliver(engine: Engine, device: Device, value: Value, donor: TfjsBuffer | undefined): TfjsBuffer {
  if (donor === undefined) return new TfjsBuffer(engine, device, value);
  donor.replace(value);
  return donor;
}

/** The steps that outputs need, each with the values that are freed after it. */
function planned(graph: Graph, steps: readonly Step[]): PlannedStep[] {
  const kept = new Set(graph.outputs);
  const needed = new Set(graph.outputs);
  const found: PlannedStep[] = [];
  for (const step of steps.toReversed()) {
    if (!step.results.some((result) => needed.has(result))) continue;
    const ending = [...new Set([...step.operands, ...step.results])].filter((value) =>
      !kept.has(value) && !needed.has(value)
    );
    found.push({ ...step, last: ending, needed: step.results.map((result) => needed.has(result)) });
    step.operands.forEach((operand) => needed.add(operand));
  }
  return found.reverse();
}

/** What an engine goes through. */
interface Plan {
  readonly graph: Graph;
  readonly steps: readonly PlannedStep[];
  /** The inputs that are donated. */
  readonly given: ReadonlySet<Tensor>;
}

/** Runs the steps on values, and gives the outputs, each with one user more. */
async function interpret(engine: Engine, { graph, steps, given }: Plan, inputs: readonly Value[]): Promise<Value[]> {
  const values = new Map<Tensor, Value>();
  const isInput = new Set(graph.inputs);
  /** Whether only one operand of the step uses a tensor's memory, and the buffer that was donated. */
  const isFree = (tensor: Tensor, { operands, last }: PlannedStep) => {
    const { dataId, parts } = values.get(tensor)!;
    if (!last.includes(tensor) || parts !== undefined || (isInput.has(tensor) && !given.has(tensor))) return false;
    // A program must not write to what it reads through another binding.
    if (operands.indexOf(tensor) !== operands.lastIndexOf(tensor)) return false;
    return engine.store.refCount(dataId) === (given.has(tensor) ? 2 : 1);
  };
  graph.inputs.forEach((input, i) => values.set(input, retain(engine, inputs[i]!)));
  try {
    let since = performance.now();
    for (const step of steps) {
      const { operands, results, run, last, needed } = step;
      const found = inWorkspace(
        engine,
        { needs: (i) => needed[i]!, mayOverwrite: (i) => isFree(operands[i]!, step) },
        (workspace) => run(workspace, operands.map((operand) => values.get(operand)!)),
      );
      results.forEach((result, i) => values.set(result, found[i]!));
      for (const value of last) {
        release(engine, values.get(value)!);
        values.delete(value);
      }
      if (performance.now() - since > sliceMs) {
        await pause();
        since = performance.now();
      }
    }
    await engine.flush();
    return graph.outputs.map((output) => retain(engine, values.get(output)!));
  } catch (cause) {
    throw new Error(`Cannot run "${graph.name}": ${cause instanceof Error ? cause.message : cause}`, { cause });
  } finally {
    for (const value of values.values()) release(engine, value);
  }
}
