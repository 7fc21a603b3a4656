/** Compiled graphs. */

import { formatType, type Graph, sameType } from "@tessera/core";
import type { Buffer, CompileOptions, Device, Executable } from "@tessera/runtime";
import { OnnxBuffer } from "./buffer.ts";
import { memorySharing } from "./donation.ts";
import type { Environment } from "./ffi/environment.ts";
import { newSession, type Session, type SessionOptions } from "./ffi/session.ts";
import type { OrtValue } from "./ffi/value.ts";
import { cpuSupport, lower, preparations } from "./lowering/lower.ts";
import { encodeModel } from "./model/encode.ts";
import { endTurn, takeTurn } from "./turns.ts";

/** How one output of a program reaches its buffer. */
interface OutputPlan {
  /** The input whose buffer receives the output; `null` for a fresh buffer. */
  readonly donor: number | null;
  /** Whether the output is written over that input. */
  readonly inPlace: boolean;
}

/**
 * Compiles a graph.
 *
 * @throws {TypeError} when a donated input and its output have different types.
 * @throws {Error} when ONNX Runtime refuses the model.
 */
export async function compileGraph(
  environment: Environment,
  graph: Graph,
  { device, donate }: CompileOptions,
  options: SessionOptions,
): Promise<Executable> {
  checkDonations(graph, donate);
  const prepared = await phases(graph, preparations(cpuSupport));
  const { model, inputNames, outputNames } = lower(prepared);
  await pause();
  const donors = new Map([...donate ?? []].map(([input, output]) => [output, input]));
  const asWritten = (options.optimization ?? 0) === 0;
  const shares = memorySharing(model);
  const plans = graph.outputs.map((_, output): OutputPlan => {
    const donor = donors.get(output) ?? null;
    return { donor, inPlace: donor !== null && asWritten && shares(donor, output) };
  });
  const outputTypes = graph.outputs.map((output) => output.type);
  const bytes = encodeModel(model);
  let session: Session;
  try {
    session = await newSession(environment, bytes, { inputNames, outputNames, outputTypes }, options);
  } catch (cause) {
    throw new Error(`Cannot compile "${graph.name}" for ${device.id}: ${messageOf(cause)}`, { cause });
  }
  return {
    graph,
    run: (inputs) => runSession(environment, session, graph, device, plans, inputs),
    dispose: () => void session.release(),
  };
}

/** Lets whatever else waits for the event loop run: a big graph takes tens of milliseconds in every phase. */
function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

async function phases(graph: Graph, passes: readonly ((graph: Graph) => Graph)[]): Promise<Graph> {
  let current = graph;
  for (const pass of passes) {
    current = pass(current);
    await pause();
  }
  return current;
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

function checkDonations(graph: Graph, donate: ReadonlyMap<number, number> | undefined): void {
  const taken = new Set<number>();
  for (const [input, output] of donate ?? []) {
    const [from, to] = [graph.inputs[input], graph.outputs[output]];
    if (from === undefined || to === undefined || taken.has(output)) {
      throw new RangeError(
        `Cannot donate input ${input} of "${graph.name}" to output ${output}: it has ${graph.inputs.length} inputs and ` +
          `${graph.outputs.length} outputs, each of which can take part once`,
      );
    }
    taken.add(output);
    if (!sameType(from.type, to.type)) {
      throw new TypeError(
        `Cannot donate input "${graph.inputNames[input]}" (${formatType(from.type)}) of "${graph.name}" to output ` +
          `"${graph.outputNames[output]}" (${formatType(to.type)}): types must match`,
      );
    }
  }
}

/** The buffers as this backend's own, or an error that names the input that does not fit. */
function checkInputs(graph: Graph, device: Device, inputs: readonly Buffer[]): OnnxBuffer[] {
  if (inputs.length !== graph.inputs.length) {
    throw new TypeError(`Cannot run "${graph.name}": it has ${graph.inputs.length} inputs, found ${inputs.length}`);
  }
  return inputs.map((buffer, i) => {
    const { type } = graph.inputs[i]!;
    const name = graph.inputNames[i]!;
    if (!(buffer instanceof OnnxBuffer) || buffer.device !== device || !sameType(buffer.type, type)) {
      throw new TypeError(
        `Cannot run "${graph.name}": input "${name}" needs ${formatType(type)} on ${device.id}, ` +
          `found ${formatType(buffer.type)} on ${buffer.device.id}`,
      );
    }
    if (buffer.disposed) throw new TypeError(`Cannot run "${graph.name}": the buffer of input "${name}" was disposed`);
    return buffer;
  });
}

async function runSession(
  environment: Environment,
  session: Session,
  graph: Graph,
  device: Device,
  plans: readonly OutputPlan[],
  inputs: readonly Buffer[],
): Promise<Buffer[]> {
  const buffers = checkInputs(graph, device, inputs);
  const donated = new Set(plans.flatMap(({ donor }) => donor === null ? [] : [buffers[donor]!]));
  const { promise: done, resolve } = Promise.withResolvers<void>();
  const waits: Promise<void>[] = [];
  const used = new Set(buffers);
  for (const buffer of used) takeTurn(buffer.turns, donated.has(buffer) ? "write" : "read", done, waits);
  try {
    if (waits.length > 0) await Promise.all(waits);
    const values = buffers.map((buffer) => buffer.value);
    const given = plans.map(({ donor, inPlace }) => inPlace && isOnly(buffers, donor!) ? values[donor!]! : null);
    const results = await runNamed(graph, session, values, given);
    return results.map((value, i) => {
      const { donor } = plans[i]!;
      if (donor === null) return new OnnxBuffer(environment, device, value);
      const buffer = buffers[donor]!;
      if (value !== given[i]) buffer.replace(value);
      return buffer;
    });
  } finally {
    for (const buffer of used) endTurn(buffer.turns, done);
    resolve();
  }
}

/** Tells whether no other input is the same buffer as one input, and so would see it being overwritten. */
function isOnly(buffers: readonly OnnxBuffer[], input: number): boolean {
  return buffers.every((buffer, i) => i === input || buffer !== buffers[input]);
}

async function runNamed(
  graph: Graph,
  session: Session,
  values: readonly OrtValue[],
  given: readonly (OrtValue | null)[],
): Promise<OrtValue[]> {
  try {
    return await session.run(values, given);
  } catch (cause) {
    throw new Error(`Cannot run "${graph.name}": ${messageOf(cause)}`, { cause });
  }
}
