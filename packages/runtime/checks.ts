/** What every backend checks before it compiles or runs a graph. */

import { formatType, type Graph, sameType } from "@tessera/core";
import type { CompileOptions, Device, DeviceBuffer } from "./backend.ts";

/**
 * Checks that every donated input can receive its output.
 *
 * @throws {RangeError} when there is no such input or output, or when an output is given to two inputs.
 * @throws {TypeError} when their types differ.
 */
export function checkDonations(graph: Graph, donate: ReadonlyMap<number, number> | undefined): void {
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

/** The device that a run is on: that of its first input where the program may run there, else the one it was compiled for. */
export function deviceOfRun({ device, alsoOn = [] }: CompileOptions, inputs: readonly DeviceBuffer[]): Device {
  return alsoOn.find((other) => other === inputs[0]?.device) ?? device;
}

/** A buffer that knows whether it was disposed, as those of a backend do. */
interface DisposableBuffer extends DeviceBuffer {
  readonly disposed: boolean;
}

/**
 * The buffers of a run as the backend's own kind.
 *
 * @throws {TypeError} when their number, a type or a device does not fit, or one was disposed; it names the input.
 */
export function checkInputs<B extends DisposableBuffer>(
  graph: Graph,
  device: Device,
  inputs: readonly DeviceBuffer[],
  isOwn: (buffer: DeviceBuffer) => buffer is B,
): B[] {
  if (inputs.length !== graph.inputs.length) {
    throw new TypeError(`Cannot run "${graph.name}": it has ${graph.inputs.length} inputs, found ${inputs.length}`);
  }
  return inputs.map((buffer, i) => {
    const { type } = graph.inputs[i]!;
    const name = graph.inputNames[i]!;
    if (!isOwn(buffer) || buffer.device !== device || !sameType(buffer.type, type)) {
      throw new TypeError(
        `Cannot run "${graph.name}": input "${name}" needs ${formatType(type)} on ${device.id}, ` +
          `found ${formatType(buffer.type)} on ${buffer.device.id}`,
      );
    }
    if (buffer.disposed) throw new TypeError(`Cannot run "${graph.name}": the buffer of input "${name}" was disposed`);
    return buffer;
  });
}

/**
 * The device that was asked for, when it is one of a backend's own.
 *
 * @throws {TypeError} when it is not.
 */
export function checkDevice(backend: string, devices: readonly Device[], device: Device): Device {
  if (devices.includes(device)) return device;
  throw new TypeError(
    `Cannot use device "${device.id}" with the backend "${backend}": its devices are ${
      devices.map(({ id }) => id).join(", ")
    }`,
  );
}

/**
 * Virtual devices of a kind, which share what they run on.
 *
 * @throws {RangeError} when their number is not a positive integer.
 */
export function virtualDevices(kind: string, count: number): Device[] {
  if (!Number.isInteger(count) || count < 1) {
    throw new RangeError(`Cannot start the backend "${kind}" with ${count} devices: a positive integer is needed`);
  }
  return Array.from({ length: count }, (_, i) => ({ id: `${kind}:${i}`, kind }));
}
