/** Compiled graphs. */

import type { Graph } from "@tessera/core";
import type { CompileOptions, Device, DeviceBuffer, Executable } from "@tessera/runtime";
import { checkDonations, checkInputs, deviceOfRun, pause, runPhases, whenAllFree } from "@tessera/runtime/support";
import { OnnxBuffer } from "./buffer.ts";
import { memorySharing } from "./donation.ts";
import type { Environment } from "./ffi/environment.ts";
import type { DeviceMemory } from "./ffi/memory.ts";
import type { Place } from "./ffi/place.ts";
import { newSession, NodesElsewhere, type Session, type SessionOptions } from "./ffi/session.ts";
import type { OrtValue } from "./ffi/value.ts";
import { lower, preparations } from "./lowering/lower.ts";
import type { Target } from "./lowering/target.ts";
import type { OnnxModel } from "./model/description.ts";
import { encodeModel } from "./model/encode.ts";
import { bindResidents } from "./residents.ts";

/** Where programs are compiled for and run. */
export interface Engine {
  /** The running ONNX Runtime. */
  readonly environment: Environment;
  /** How models are written. */
  readonly target: Target;
  /** How models are compiled. */
  readonly options: SessionOptions;
  /** Where a device computes. */
  readonly placeOf: (device: Device) => Place;
}

/** How one output of a program reaches its buffer. */
interface OutputPlan {
  /** The input whose buffer receives the output; `null` for a fresh buffer. */
  readonly donor: number | null;
  /** Whether the output overwrites that input. */
  readonly inPlace: boolean;
}

/**
 * Compiles a graph, once for each place of its devices.
 *
 * @throws {TypeError} when a donated input and its output have different types.
 * @throws {Error} when ONNX Runtime refuses the model, or has no kernels on a device for some of its nodes.
 */
export async function compileGraph(engine: Engine, graph: Graph, compileOptions: CompileOptions): Promise<Executable> {
  const { environment, target, options, placeOf } = engine;
  const { device, alsoOn = [], donate, residents = new Map() } = compileOptions;
  checkDonations(graph, donate);
  const prepared = await runPhases(graph, preparations(target));
  const lowered = lower(prepared, residents.keys(), target);
  const { model } = lowered;
  await pause();
  const donors = new Map([...donate ?? []].map(([input, output]) => [output, input]));
  const asWritten = (options.optimization ?? 0) === 0;
  const shares = memorySharing(model);
  const plans = graph.outputs.map((_, output): OutputPlan => {
    const donor = donors.get(output) ?? null;
    return { donor, inPlace: donor !== null && asWritten && shares(donor, output) };
  });
  const signature = { ...lowered, outputTypes: graph.outputs.map((output) => output.type) };
  const bytes = encodeModel(model);
  const constants = bindResidents(environment, graph, model, residents);
  const sessions = new Map<Place, Session>();
  const release = async () => {
    await Promise.all([...sessions.values()].map((session) => session.release()));
    constants?.release();
  };
  try {
    for (const one of new Map([device, ...alsoOn].map((each) => [placeOf(each), each])).values()) {
      const { provider } = placeOf(one);
      try {
        const setting = { residents: constants?.given ?? null, provider };
        sessions.set(placeOf(one), await newSession(environment, bytes, signature, options, setting));
      } catch (cause) {
        throw new Error(`Cannot compile "${graph.name}" for ${one.id}: ${reasonOf(cause, model)}`, { cause });
      }
    }
  } catch (error) {
    await release();
    throw error;
  }
  return {
    graph,
    run: (inputs) => {
      const where = deviceOfRun(compileOptions, inputs);
      const other = [...residents.keys()].find((input) => inputs[input] !== residents.get(input));
      if (other !== undefined) throw otherResident(graph, other);
      const place = placeOf(where);
      return runSession({ session: sessions.get(place)!, memory: place.memory, graph, plans }, where, inputs);
    },
    dispose: () => void release(),
  };
}

/** Why a model was not compiled; nodes without a kernel with the types that they would need one for. */
function reasonOf(cause: unknown, { inputs, initializers, residents = [], nodes }: OnnxModel): string {
  if (!(cause instanceof NodesElsewhere)) return messageOf(cause);
  const values = [...inputs, ...initializers, ...residents, ...nodes.flatMap(({ outputs }) => outputs)];
  const dtypes = new Map(values.map(({ name, dtype }) => [name, dtype]));
  const named = new Map(nodes.map((node) => [node.outputs[0]!.name, node]));
  const kernels = cause.nodes.map((name) => {
    const node = named.get(name);
    return node === undefined ? name : `${node.op}(${node.inputs.map((input) => dtypes.get(input) ?? "").join(", ")})`;
  });
  return `it has no kernels for ${
    [...new Set(kernels)].join(", ")
  }, which would run on the processor, with copies around ` +
    `each; lowering/cuda.ts is where such nodes are written as others`;
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

/** What one run of a program needs to know about it. */
interface Program {
  readonly session: Session;
  readonly memory: DeviceMemory;
  readonly graph: Graph;
  readonly plans: readonly OutputPlan[];
}

async function runSession(program: Program, device: Device, inputs: readonly DeviceBuffer[]): Promise<DeviceBuffer[]> {
  const { memory, graph, plans } = program;
  const buffers = checkInputs(graph, device, inputs, (buffer) => buffer instanceof OnnxBuffer);
  const donated = new Set(plans.flatMap(({ donor }) => donor === null ? [] : [buffers[donor]!]));
  return await whenAllFree(buffers, donated, async () => {
    const values = buffers.map((buffer) => buffer.value);
    const kept = plans.map(({ donor, inPlace }) => inPlace && isOnly(buffers, donor!) ? values[donor!]! : null);
    const results = await runNamed(program, values, kept);
    return results.map((value, i) => {
      const { donor } = plans[i]!;
      if (donor === null) return new OnnxBuffer(memory, device, value);
      const buffer = buffers[donor]!;
      if (value !== kept[i]) buffer.replace(value);
      return buffer;
    });
  });
}

/** Tells whether no other input is the same buffer as one input, and would see it overwritten. */
function isOnly(buffers: readonly OnnxBuffer[], input: number): boolean {
  return buffers.every((buffer, i) => i === input || buffer !== buffers[input]);
}

/** Runs a session; `kept` are the values that outputs overwrite. */
async function runNamed(
  { session, memory, graph }: Program,
  values: readonly OrtValue[],
  kept: readonly (OrtValue | null)[],
): Promise<OrtValue[]> {
  const fresh: OrtValue[] = [];
  try {
    const given = kept.map((value, i) => {
      if (value !== null) return value;
      const made = memory.output(graph.outputs[i]!.type);
      if (made !== null) fresh.push(made);
      return made;
    });
    return await session.run(values, given);
  } catch (cause) {
    fresh.forEach((value) => value.release());
    throw new Error(`Cannot run "${graph.name}": ${messageOf(cause)}`, { cause });
  }
}
