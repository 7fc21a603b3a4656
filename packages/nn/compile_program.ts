/**
 * Compiled programs over variables: on one device, or on the mesh where the variables lie.
 *
 * A program runs where its variables are. A variable whose value lies elsewhere, for example because it was made before a
 * distribution was set, is moved there before the run, one tensor at a time.
 */
import type { HostTensor } from "@tessera/core";
import { type Distribution, sameSharding, type Sharding } from "@tessera/mesh";
import {
  type Backend,
  compileSharded,
  type Device,
  type DeviceBuffer,
  type Executable,
  scatter,
  ShardedBuffer,
} from "@tessera/runtime";
import { distributionOf, moveValue } from "./placement.ts";
import type { TracedProgram } from "./program.ts";
import { shardProgram } from "./shard_program.ts";
import type { Variable } from "./variable.ts";

/** A compiled program over variables. */
export interface Program {
  /** What was traced. */
  readonly traced: TracedProgram;
  /**
   * Runs on a batch given by name, and returns the outputs by name, which the caller disposes. Host tensors of the batch are
   * uploaded for the run. Throws when a batch entry is missing, when one fits no input, or when a variable has no value.
   */
  run(batch: Readonly<Record<string, HostTensor | DeviceBuffer>>): Promise<Record<string, DeviceBuffer>>;
  /** Frees the compiled code; variables live on. */
  dispose(): void;
}

/** What runs a program, wherever it is. */
interface Target {
  readonly executable: Executable;
  /** Puts an array of the batch where the program reads it. */
  readonly upload: (tensor: HostTensor, input: number) => DeviceBuffer;
  /** Whether a buffer can be read where it is. */
  readonly reads: (buffer: DeviceBuffer, input: number) => boolean;
  /** Brings the value of a variable where the program reads it. */
  readonly fetch: (variable: Variable) => Promise<void> | undefined;
}

/**
 * Compiles a traced program for the mesh where its variables lie, or else for a device; updated variables are donated.
 *
 * @throws {RangeError} when something cannot be sharded as its layout says, or the backend lacks a device of the mesh.
 */
export async function compileProgram(traced: TracedProgram, backend: Backend, device?: Device): Promise<Program> {
  const distribution = distributionOf(traced.variables);
  // Tracing took a while, and compiling will: let other work run in between.
  await new Promise((resolve) => setTimeout(resolve));
  const target = distribution === null
    ? await onDevice(traced, backend, device ?? backend.devices[0]!)
    : await onMesh(traced, backend, distribution);
  return {
    traced,
    run: (given) => runProgram(traced, target, given),
    dispose: () => target.executable.dispose(),
  };
}

/** Input → output: a variable's new value takes the place of the old one. */
export function donations({ batch, variables, outputs, updated }: TracedProgram): Map<number, number> {
  return new Map(updated.map((variable, i) => [batch.length + variables.indexOf(variable), outputs.length + i]));
}

/**
 * Inputs that nothing ever changes, which a backend may lay out anew for its kernels: codes and scales of quantized variables. Those
 * without a value on one device are taken as they come.
 */
function residentsOf({ batch, variables }: TracedProgram, device: Device): Map<number, DeviceBuffer> {
  const frozen = new Set(variables.flatMap((one) => one.quantization === null ? [] : [one, one.quantization.scale]));
  return new Map(
    variables.flatMap((variable, i) => {
      const { value } = variable;
      return frozen.has(variable) && value?.device === device ? [[batch.length + i, value] as const] : [];
    }),
  );
}

async function onDevice(traced: TracedProgram, backend: Backend, device: Device): Promise<Target> {
  const options = { device, donate: donations(traced), residents: residentsOf(traced, device) };
  return {
    executable: await backend.compile(traced.graph, options),
    upload: (tensor) => backend.upload(tensor, device),
    reads: (buffer) => !(buffer instanceof ShardedBuffer),
    fetch: (variable) => variable.value instanceof ShardedBuffer ? moveValue(variable, backend, device) : undefined,
  };
}

async function onMesh(traced: TracedProgram, backend: Backend, distribution: Distribution): Promise<Target> {
  const partitioned = shardProgram(traced, distribution);
  const donate = donations(traced);
  const liesAs = (buffer: DeviceBuffer | null, sharding: Sharding) =>
    buffer instanceof ShardedBuffer && buffer.distribution.mesh === distribution.mesh &&
    sameSharding(buffer.sharding, sharding);
  const shardings = new Map(
    traced.variables.map((variable, i) => [variable, partitioned.inputs[traced.batch.length + i]!]),
  );
  return {
    executable: await compileSharded(partitioned, { backend, distribution, donate }),
    upload: (tensor, input) => scatter(tensor, backend, { distribution, sharding: partitioned.inputs[input]! }),
    reads: (buffer, input) => liesAs(buffer, partitioned.inputs[input]!),
    fetch: (variable) =>
      liesAs(variable.value, shardings.get(variable)!) ? undefined : moveValue(variable, backend, distribution),
  };
}

async function runProgram(
  { graph, batch, variables, outputs }: TracedProgram,
  { executable, upload, reads, fetch }: Target,
  given: Readonly<Record<string, HostTensor | DeviceBuffer>>,
): Promise<Record<string, DeviceBuffer>> {
  const extra = Object.keys(given).find((name) => !batch.includes(name));
  if (extra !== undefined) {
    throw new TypeError(`Cannot run "${graph.name}": it has no input "${extra}"; its inputs are ${batch.join(", ")}`);
  }
  const missing = batch.find((name) => given[name] === undefined);
  if (missing !== undefined) throw new TypeError(`Cannot run "${graph.name}": input "${missing}" is missing`);
  const valueless = variables.find(({ value }) => value === null);
  if (valueless !== undefined) {
    throw new TypeError(
      `Cannot run "${graph.name}": variable "${valueless.path}" has no value; load or initialize it first`,
    );
  }
  const temporary: DeviceBuffer[] = [];
  try {
    const inputs: DeviceBuffer[] = [];
    for (const [i, name] of batch.entries()) {
      const value = given[name]!;
      const isBuffer = !("data" in value);
      if (isBuffer && reads(value, i)) {
        inputs.push(value);
        continue;
      }
      const buffer = upload(isBuffer ? await value.read() : value, i);
      temporary.push(buffer);
      inputs.push(buffer);
    }
    for (const variable of variables) {
      const moved = fetch(variable);
      if (moved !== undefined) await moved;
      inputs.push(variable.value!);
    }
    const results = await executable.run(inputs);
    return Object.fromEntries(outputs.map((name, i) => [name, results[i]!]));
  } finally {
    temporary.forEach((buffer) => buffer.dispose());
  }
}
