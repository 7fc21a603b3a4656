/**
 * Runs a partitioned program on the devices of a mesh.
 *
 * Every device takes the steps of the program by itself, all of them at once: it runs a segment, then waits at a collective for
 * the devices of its group, and frees each value after its last use. Segments that compute the same, such as those of like
 * decoder blocks, are compiled once, and once for all devices. When one device fails, the others are told, and the run rejects
 * when all have ended.
 */
import { formatType, hostTensor, sameType, type Tensor } from "@tessera/core";
import {
  type DeviceMesh,
  type Distribution,
  formatSharding,
  groupIndex,
  groupOf,
  type Partitioned,
  sameSharding,
  wholeType,
} from "@tessera/mesh";
import type { Backend, Device, DeviceBuffer, Executable } from "../backend.ts";
import type { Communicator, Exchange, Exchanges } from "./communicator.ts";
import { localCommunicator } from "./local_communicator.ts";
import { meshDevices, ShardedBuffer } from "./sharded_buffer.ts";
import { cutSteps, lastUses, type Segment, type Step, type Steps } from "./steps.ts";
import { whenAllFree } from "../turns.ts";

/** How a partitioned program is compiled. */
export interface ShardedCompileOptions {
  /** What runs it. */
  readonly backend: Backend;
  /** The distribution that it was partitioned for. */
  readonly distribution: Distribution;
  /** Input index → output index: that input's buffer receives that output. */
  readonly donate?: ReadonlyMap<number, number>;
  /** What carries data between devices; host memory unless given. */
  readonly communicator?: Communicator;
}

/** A compiled program of a mesh. Its `run` takes sharded buffers and returns sharded buffers. */
export interface ShardedExecutable extends Executable {
  /** The steps that every device takes. */
  readonly steps: readonly Step[];
  /** How many programs were compiled for them. */
  readonly compiled: number;
}

/** What a run needs of a compiled program. */
interface Compiled {
  readonly partitioned: Partitioned;
  readonly distribution: Distribution;
  readonly devices: readonly Device[];
  readonly backend: Backend;
  readonly plan: Steps;
  /** The program of each segment. */
  readonly programs: ReadonlyMap<Step, Executable>;
  /** Per step, the values that nothing reads after it. */
  readonly freed: readonly (readonly Tensor[])[];
  /** Per value that tells devices their place, the value on each device. */
  readonly places: ReadonlyMap<Tensor, readonly DeviceBuffer[]>;
  readonly donate: ReadonlyMap<number, number>;
  readonly communicator: Communicator;
}

/**
 * Compiles a partitioned program for the devices of its mesh.
 *
 * @throws {RangeError} when the backend lacks a device of the mesh.
 * @throws what the backend throws for a segment.
 */
export async function compileSharded(
  partitioned: Partitioned,
  options: ShardedCompileOptions,
): Promise<ShardedExecutable> {
  const { backend, distribution, donate = new Map<number, number>() } = options;
  const { mesh } = distribution;
  const devices = meshDevices(backend, mesh);
  const plan = cutSteps(partitioned.graph, donate);
  const [device, ...alsoOn] = devices as [Device, ...Device[]];
  const segments = plan.steps.filter((step) => step.kind === "segment");
  const distinct = new Map(segments.map((segment) => [segment.key, segment]));
  const programs = await allOrNone(
    [...distinct.values()],
    ({ graph, donate }) => backend.compile(graph, { device, alsoOn, donate }),
  );
  const byKey = new Map([...distinct.keys()].map((key, i) => [key, programs[i]!]));
  const places = new Map(
    [...plan.places].map(([value, meshAxes]) => [value, placesOf(meshAxes, mesh, backend, devices)]),
  );
  const compiled: Compiled = {
    partitioned,
    distribution,
    devices,
    backend,
    plan,
    programs: new Map(segments.map((segment) => [segment, byKey.get(segment.key)!])),
    freed: lastUses(plan),
    places,
    donate,
    communicator: options.communicator ?? localCommunicator(backend, devices),
  };
  return {
    graph: partitioned.graph,
    steps: plan.steps,
    compiled: programs.length,
    run: (inputs) => run(compiled, inputs),
    dispose() {
      programs.forEach((program) => program.dispose());
      for (const buffers of places.values()) buffers.forEach((buffer) => buffer.dispose());
    },
  };
}

/** Compiles several things at once; when one fails, frees the others and fails. */
async function allOrNone<T>(
  items: readonly T[],
  compile: (item: T) => Promise<Executable>,
): Promise<readonly Executable[]> {
  const found = await Promise.allSettled(items.map(compile));
  const failed = found.find((result) => result.status === "rejected");
  if (failed !== undefined) {
    for (const result of found) if (result.status === "fulfilled") result.value.dispose();
    throw failed.reason;
  }
  return found.map((result) => (result as PromiseFulfilledResult<Executable>).value);
}

/** The place of each device in its group along some mesh axes, on that device. */
function placesOf(
  meshAxes: readonly string[],
  mesh: DeviceMesh,
  backend: Backend,
  devices: readonly Device[],
): DeviceBuffer[] {
  return devices.map((device, i) =>
    backend.upload(hostTensor("int32", [], Int32Array.of(groupIndex(mesh, meshAxes, i))), device)
  );
}

/** The buffers as sharded ones, or an error that names the input that does not fit. */
function checkShardedInputs({ partitioned, distribution }: Compiled, inputs: readonly DeviceBuffer[]): ShardedBuffer[] {
  const { graph, inputs: shardings } = partitioned;
  if (inputs.length !== graph.inputs.length) {
    throw new TypeError(`Cannot run "${graph.name}": it has ${graph.inputs.length} inputs, found ${inputs.length}`);
  }
  return inputs.map((buffer, i) => {
    const name = graph.inputNames[i]!;
    const type = wholeType(graph.inputs[i]!.type, shardings[i]!, distribution.mesh);
    const isSharded = buffer instanceof ShardedBuffer && buffer.distribution.mesh === distribution.mesh;
    if (!isSharded || !sameType(buffer.type, type) || !sameSharding(buffer.sharding, shardings[i]!)) {
      throw new TypeError(
        `Cannot run "${graph.name}": input "${name}" needs ${formatType(type)} as ${
          formatSharding(shardings[i]!)
        } on ` +
          `${distribution.mesh}, found ${formatType(buffer.type)}` +
          (isSharded ? ` as ${formatSharding(buffer.sharding)}` : ` on ${buffer.device.id}`),
      );
    }
    if (buffer.disposed) throw new TypeError(`Cannot run "${graph.name}": the buffer of input "${name}" was disposed`);
    return buffer;
  });
}

/** How a run stands: the first error of any device. */
interface Progress {
  failure: { readonly reason: unknown } | null;
}

async function run(compiled: Compiled, inputs: readonly DeviceBuffer[]): Promise<DeviceBuffer[]> {
  const { partitioned, distribution, devices, backend, donate, communicator } = compiled;
  const buffers = checkShardedInputs(compiled, inputs);
  const donated = new Set([...donate.keys()].map((input) => buffers[input]!));
  return await whenAllFree(buffers, donated, async () => {
    for (const buffer of donated) await buffer.separate(backend);
    const exchanges = communicator.begin();
    const progress: Progress = { failure: null };
    const results = await Promise.all(devices.map(async (_, device) => {
      const given = buffers.map(({ parts }) => parts[device]!);
      try {
        return await runDevice(compiled, device, given, exchanges, progress);
      } catch (reason) {
        if (progress.failure === null) {
          progress.failure = { reason };
          exchanges.abort(reason as Error);
        }
        return null;
      }
    }));
    if (progress.failure !== null) {
      results.forEach((outputs, device) => {
        const own = new Set(buffers.map(({ parts }) => parts[device]!));
        outputs?.forEach((output) => own.has(output) || output.dispose());
      });
      throw progress.failure.reason;
    }
    const donors = new Map([...donate].map(([input, output]) => [output, buffers[input]!]));
    return partitioned.outputs.map((sharding, i) => {
      const parts = results.map((outputs) => outputs![i]!);
      const donor = donors.get(i);
      if (donor !== undefined) {
        parts.forEach((part, device) => donor.replacePart(device, part));
        return donor;
      }
      const type = wholeType(partitioned.graph.outputs[i]!.type, sharding, distribution.mesh);
      return new ShardedBuffer({ type, distribution, sharding, parts });
    });
  });
}

/** Runs all steps for one device, and returns its shards of the outputs. */
async function runDevice(
  compiled: Compiled,
  device: number,
  given: readonly DeviceBuffer[],
  exchanges: Exchanges,
  progress: Progress,
): Promise<DeviceBuffer[]> {
  const { plan, freed, places, distribution, devices } = compiled;
  const values = new Map<Tensor, DeviceBuffer>();
  plan.inputs.forEach((input, i) => values.set(input, given[i] ?? places.get(input)![device]!));
  const lasting = new Set(values.values());
  try {
    for (const [i, step] of plan.steps.entries()) {
      if (progress.failure !== null) throw progress.failure.reason;
      const operands = step.inputs.map((input) => values.get(input)!);
      let results: readonly DeviceBuffer[];
      if (step.kind === "segment") {
        results = await runSegment(compiled, step, i, devices[device]!, operands);
      } else {
        const group = groupOf(distribution.mesh, step.exchange.attrs.meshAxes, device);
        results = await exchanges.exchange(device, { ...step.exchange, step: i, group } as Exchange, operands);
      }
      step.outputs.forEach((output, at) => values.set(output, results[at]!));
      for (const value of freed[i]!) {
        values.get(value)!.dispose();
        values.delete(value);
      }
    }
    return await outputsOf(compiled, devices[device]!, values, lasting, given);
  } catch (error) {
    for (const buffer of values.values()) if (!lasting.has(buffer)) buffer.dispose();
    throw error;
  }
}

async function runSegment(
  { programs, plan, partitioned }: Compiled,
  step: Segment,
  number: number,
  device: Device,
  operands: readonly DeviceBuffer[],
): Promise<readonly DeviceBuffer[]> {
  try {
    return await programs.get(step)!.run(operands);
  } catch (cause) {
    throw new Error(
      `Cannot run "${partitioned.graph.name}": device ${device.id} failed in step ${number + 1} of ` +
        `${plan.steps.length}: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
}

/** The outputs of a device, each in a buffer of its own: an input that is returned, or a value that is returned twice, is copied. */
async function outputsOf(
  { plan, backend, donate }: Compiled,
  device: Device,
  values: ReadonlyMap<Tensor, DeviceBuffer>,
  lasting: ReadonlySet<DeviceBuffer>,
  given: readonly DeviceBuffer[],
): Promise<DeviceBuffer[]> {
  const donors = new Map([...donate].map(([input, output]) => [output, given[input]!]));
  const taken = new Set<DeviceBuffer>();
  const outputs: DeviceBuffer[] = [];
  for (const [i, output] of plan.outputs.entries()) {
    const buffer = values.get(output)!;
    const isFree = (!lasting.has(buffer) || donors.get(i) === buffer) && !taken.has(buffer);
    taken.add(buffer);
    outputs.push(isFree ? buffer : backend.upload(await buffer.read(), device));
  }
  return outputs;
}
