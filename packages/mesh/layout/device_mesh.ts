/** Device meshes: a grid of devices whose axes have names. */
import { nearestName } from "@tessera/text";
import { axisSize, type MeshShape } from "../sharding/sharding.ts";

/** Something with a device id, such as a backend's device. */
export interface DeviceRef {
  /** The kind and a number, such as `cpu:0`. */
  readonly id: string;
}

/** Something with devices, such as a backend. */
export interface DeviceSource {
  /** The devices that it has. */
  readonly devices: readonly DeviceRef[];
}

/** A grid of devices whose axes have names, such as 2 × 8 devices along `batch` and `model`. */
export class DeviceMesh<Axis extends string = string> implements MeshShape {
  /** The number of devices along each axis. */
  readonly shape: readonly number[];
  /** The name of each axis. */
  readonly axisNames: readonly Axis[];
  /** The ids of the devices, in order of their coordinates, the last axis running fastest. */
  readonly devices: readonly string[];
  /** The axes with their names and sizes, in order. */
  readonly axes: readonly { readonly name: Axis; readonly size: number }[];

  /**
   * Arranges devices in a grid, in the order in which they are given.
   *
   * @throws {TypeError} when an axis or a device is named twice, or when sizes and names are not equally many.
   * @throws {RangeError} when a size is not a positive integer or the sizes do not multiply to the number of devices.
   */
  constructor(shape: readonly number[], axisNames: readonly Axis[], devices: readonly (string | DeviceRef)[]) {
    const ids = devices.map((device) => typeof device === "string" ? device : device.id);
    checkMesh(shape, axisNames, ids);
    this.shape = [...shape];
    this.axisNames = [...axisNames];
    this.devices = ids;
    this.axes = axisNames.map((name, i) => ({ name, size: shape[i]! }));
  }

  /** The number of devices. */
  get size(): number {
    return this.devices.length;
  }

  /** Tells whether the mesh has an axis of a name. */
  hasAxis(name: string): name is Axis {
    return (this.axisNames as readonly string[]).includes(name);
  }

  /**
   * The number of devices along an axis.
   *
   * @throws {RangeError} when the mesh has no such axis.
   */
  sizeOf(axis: Axis): number {
    return axisSize(this, axis);
  }

  /** The sizes and the names of the axes, such as `DeviceMesh([2, 8], ["batch", "model"])`. */
  toString(): string {
    return `DeviceMesh(${formatSizes(this.shape)}, ${JSON.stringify(this.axisNames).replaceAll(",", ", ")})`;
  }
}

function formatSizes(sizes: readonly number[]): string {
  return `[${sizes.join(", ")}]`;
}

function checkMesh(shape: readonly number[], names: readonly string[], ids: readonly string[]): void {
  const made = `Cannot make a ${shape.join("×")} mesh`;
  if (shape.length === 0 || names.length === 0) {
    throw new RangeError("Cannot make a mesh without axes: give at least one size and one name");
  }
  if (shape.length !== names.length) {
    throw new TypeError(
      `${made}: it has ${shape.length} ${shape.length === 1 ? "size" : "sizes"} and ${names.length} axis ` +
        `${names.length === 1 ? "name" : "names"} (${list(names)})`,
    );
  }
  shape.forEach((size, i) => {
    if (!Number.isInteger(size) || size < 1) {
      throw new RangeError(`${made}: axis "${names[i]}" must have a positive integer as its size, found ${size}`);
    }
  });
  names.forEach((name, i) => {
    if (name === "") throw new TypeError(`${made}: axis ${i} has an empty name`);
    if (names.indexOf(name) !== i) throw new TypeError(`${made}: two axes are named "${name}"`);
  });
  const wanted = shape.reduce((product, size) => product * size, 1);
  if (wanted !== ids.length) {
    throw new RangeError(
      `${made}: it takes ${wanted} ${wanted === 1 ? "device" : "devices"}, found ${ids.length}` +
        (ids.length > wanted ? `; pass ${wanted} of them` : ""),
    );
  }
  ids.forEach((id, i) => {
    if (ids.indexOf(id) !== i) throw new TypeError(`${made}: device "${id}" is given twice`);
  });
}

function list(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(", ");
}

/** Says which axes a mesh has, such as `"batch" (2), "model" (8)`. */
export function formatAxes(axes: MeshShape["axes"]): string {
  return axes.map(({ name, size }) => `"${name}" (${size})`).join(", ");
}

/** The end of an error message about an axis that a mesh lacks, with the name that was likely meant. */
export function noAxis(mesh: MeshShape, name: string): string {
  const near = nearestName(name, mesh.axes.map((axis) => axis.name));
  const hint = near === null ? "" : `, did you mean "${near}"?`;
  return `the mesh has the axes ${formatAxes(mesh.axes)} and no "${name}"${hint}`;
}

/** The ids of a backend's devices, or of those of one kind, such as `["cpu:0", "cpu:1"]`. */
export function listDevices(backend: DeviceSource, kind?: string): string[] {
  const ids = backend.devices.map(({ id }) => id);
  return kind === undefined ? ids : ids.filter((id) => id.split(":")[0] === kind.toLowerCase());
}

/** The number of a backend's devices, or of those of one kind. */
export function getDeviceCount(backend: DeviceSource, kind?: string): number {
  return listDevices(backend, kind).length;
}

/**
 * Names for devices of a kind, `cpu:0` and on, with which any mesh can be planned and tested: a backend names its devices so.
 *
 * @throws {RangeError} when the count is not a positive integer.
 */
export function virtualDevices(count: number, kind = "cpu"): string[] {
  if (!Number.isInteger(count) || count < 1) {
    throw new RangeError(`Cannot make ${count} virtual devices: the count must be a positive integer`);
  }
  return Array.from({ length: count }, (_, i) => `${kind}:${i}`);
}
