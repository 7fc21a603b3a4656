/** Compiled graphs: a list of steps that an interpreter goes through, with the moment at which each value is freed. */

import {
  decompose,
  type Graph,
  isCollective,
  legalize,
  type Lowering,
  type Node,
  optimizations,
  type Tensor,
} from "@tessera/core";
import type { CompileOptions, Device, Executable } from "@tessera/runtime";
import { checkDonations, checkInputs, pause, runPhases, whenAllFree } from "@tessera/runtime/support";
import { TfjsBuffer } from "./buffer.ts";
import { type Engine, release, retain, type Value } from "./engine.ts";
import { inWorkspace, type Workspace } from "./lowering/workspace.ts";
import { tfjsSupport } from "./support.ts";

/** How long a run may keep the event loop, in milliseconds. */
const sliceMs = 8;

type AnyRule = (
  workspace: Workspace,
  operands: readonly Value[],
  attrs: unknown,
  node: Node,
) => readonly Value[];

/** A node, and the values that nobody needs after it. */
interface Step {
  readonly node: Node;
  readonly last: readonly Tensor[];
}

/**
 * Compiles a graph for an engine.
 *
 * @throws {TypeError} when a donated input and its output have different types, or when the graph has a collective.
 */
export async function compileGraph(
  engine: Engine,
  table: Lowering<Workspace, Value>,
  graph: Graph,
  { device, donate }: CompileOptions,
): Promise<Executable> {
  checkDonations(graph, donate);
  const prepared = await runPhases(graph, [
    (current) => decompose(current, (op) => table[op] !== "decompose"),
    (current) => legalize(current, tfjsSupport),
    ...optimizations,
  ]);
  const steps = planSteps(prepared);
  const donors = new Map([...donate ?? []].map(([input, output]) => [output, input]));
  return {
    graph,
    run: async (inputs) => {
      const buffers = checkInputs(graph, device, inputs, (buffer) => buffer instanceof TfjsBuffer);
      const donated = new Set([...donors.values()].map((input) => buffers[input]!));
      return await whenAllFree(buffers, donated, async () => {
        const values = await interpret(engine, table, prepared, steps, buffers.map((buffer) => buffer.value));
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

/** The nodes of a graph as steps. */
function planSteps(graph: Graph): Step[] {
  const kept = new Set(graph.outputs);
  const seen = new Set<Tensor>();
  const steps: Step[] = [];
  for (const node of graph.nodes.toReversed()) {
    if (isCollective(node.op)) {
      throw new TypeError(`Cannot lower "${node.op}": an executor runs it between two programs`);
    }
    const last = [...new Set([...node.operands, ...node.results])].filter((value) =>
      !kept.has(value) && !seen.has(value)
    );
    last.forEach((value) => seen.add(value));
    steps.push({ node, last });
  }
  return steps.reverse();
}

/** Runs the steps on values, and gives the outputs, each with one user more. */
async function interpret(
  engine: Engine,
  table: Lowering<Workspace, Value>,
  graph: Graph,
  steps: readonly Step[],
  inputs: readonly Value[],
): Promise<Value[]> {
  const values = new Map<Tensor, Value>();
  graph.inputs.forEach((input, i) => values.set(input, retain(engine, inputs[i]!)));
  try {
    let since = performance.now();
    for (const { node, last } of steps) {
      const rule = table[node.op as keyof typeof table] as AnyRule;
      const operands = node.operands.map((operand) => values.get(operand)!);
      const results = inWorkspace(engine, (workspace) => rule(workspace, operands, node.attrs, node));
      node.results.forEach((result, i) => values.set(result, results[i]!));
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
