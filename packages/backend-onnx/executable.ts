/** Compiled graphs. */

import type { Graph } from "@tessera/core";
import type { Buffer, CompileOptions, Device, Executable } from "@tessera/runtime";
import { checkDonations, checkInputs, deviceOfRun, pause, runPhases, whenAllFree } from "@tessera/runtime/support";
import { OnnxBuffer } from "./buffer.ts";
import { memorySharing } from "./donation.ts";
import type { Environment } from "./ffi/environment.ts";
import { newSession, type Session, type SessionOptions } from "./ffi/session.ts";

import type { OrtValue } from "./ffi/value.ts";
import { cpuSupport, lower, preparations } from "./lowering/lower.ts";
import { encodeModel } from "./model/encode.ts";
import { bindResidents } from "./residents.ts";

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
  compileOptions: CompileOptions,
  options: SessionOptions,
): Promise<Executable> {
  const { device, donate, residents = new Map() } = compileOptions;
  checkDonations(graph, donate);
  const prepared = await runPhases(graph, preparations(cpuSupport));
  const { model, inputNames, outputNames } = lower(prepared, residents.keys());
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
  const constants = bindResidents(environment, graph, model, residents);
  let session: Session;
  try {
    session = await newSession(environment, bytes, { inputNames, outputNames, outputTypes }, options, constants?.given);
  } catch (cause) {
    constants?.release();
    throw new Error(`Cannot compile "${graph.name}" for ${device.id}: ${messageOf(cause)}`, { cause });
  }
  return {
    graph,
    run: (inputs) => {
      const where = deviceOfRun(compileOptions, inputs);
      const other = [...residents.keys()].find((input) => inputs[input] !== residents.get(input));
      if (other !== undefined) throw otherResident(graph, other);
      return runSession(environment, session, graph, where, plans, inputs);
    },
    dispose: () => void session.release().then(() => constants?.release()),
  };
}

function otherResident(graph: Graph, input: number): Error {
  return new TypeError(
    `Cannot run "${graph.name}": input "${
      graph.inputNames[input]
    }" must be the buffer that it was compiled for; compile it ` +
      "again for another one",
  );
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

async function runSession(
  environment: Environment,
  session: Session,
  graph: Graph,
  device: Device,
  plans: readonly OutputPlan[],
  inputs: readonly Buffer[],
): Promise<Buffer[]> {
  const buffers = checkInputs(graph, device, inputs, (buffer) => buffer instanceof OnnxBuffer);
  const donated = new Set(plans.flatMap(({ donor }) => donor === null ? [] : [buffers[donor]!]));
  return await whenAllFree(buffers, donated, async () => {
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
  });
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
