/**
 * Tensors on the devices of a mesh, one shard on each.
 *
 * To its holder it is a buffer like any other: its type is that of the whole tensor, reading reassembles the shards and
 * writing shards the tensor.
 */
import { formatType, type HostTensor, hostZeros, sameType, type TensorType } from "@tessera/core";
import {
  blockOf,
  DataParallel,
  type DeviceMesh,
  type Distribution,
  groupIndex,
  localType,
  type Sharding,
  type TensorLayout,
  withoutTrivialAxes,
} from "@tessera/mesh";
import type { Backend, Device, DeviceBuffer } from "../backend.ts";
import { cutBlock, pasteBlock } from "../blocks.ts";
import { newTurns, type Turns, whenFree } from "../turns.ts";

/** Where and how a tensor lies on a mesh. */
export interface Placement {
  /** The distribution by which it lies there, and with it the mesh. */
  readonly distribution: Distribution;
  /** How it is sharded. */
  readonly sharding: Sharding;
}

/** What a sharded buffer is made from. */
export interface ShardedBufferParts extends Placement {
  /** The type of the whole tensor. */
  readonly type: TensorType;
  /** The part of each device, in the order of the mesh. */
  readonly parts: readonly DeviceBuffer[];
  /** Whether parts of devices that hold the same block may be the same memory; false unless given. */
  readonly shareMemory?: boolean;
}

/** A tensor of which each device of a mesh holds a shard. */
export class ShardedBuffer implements DeviceBuffer {
  /** The shape and element type of the whole tensor. */
  readonly type: TensorType;
  /** The mesh, as one device. */
  readonly device: Device;
  /** The distribution by which it lies there. */
  readonly distribution: Distribution;
  /** How it is sharded, without the axes of the mesh that have one device. */
  readonly sharding: Sharding;
  /** Which runs use it now. */
  readonly turns: Turns = newTurns();
  readonly #parts: DeviceBuffer[];
  #sharesMemory: boolean;
  #disposed = false;

  /** Takes ownership of the shards. */
  constructor({ type, parts, distribution, sharding, shareMemory = false }: ShardedBufferParts) {
    const { mesh } = distribution;
    this.type = type;
    this.device = { id: `mesh:${mesh.devices.join(",")}`, kind: "mesh" };
    this.distribution = distribution;
    this.sharding = withoutTrivialAxes(sharding, mesh);
    this.#parts = [...parts];
    this.#sharesMemory = shareMemory;
  }

  /** The part of each device, in the order of the mesh; only for those whose turn it is. */
  get parts(): readonly DeviceBuffer[] {
    return this.#parts;
  }

  /** Tells whether the buffer was disposed. */
  get disposed(): boolean {
    return this.#disposed;
  }

  /** Reassembles the shards on the host, after the runs that write them. Throws when the buffer was disposed. */
  async read(): Promise<HostTensor> {
    this.#check("read");
    return await whenFree(this.turns, "read", async () => {
      const owners = this.#owners();
      if (owners.length === 1) return await this.#parts[owners[0]!]!.read();
      const whole = hostZeros(this.type.dtype, this.type.shape);
      for (const device of owners) pasteBlock(await this.#parts[device]!.read(), whole, this.#block(device));
      return whole;
    });
  }

  /** Replaces the content, after the runs that use it. Throws when the type differs or the buffer was disposed. */
  async write(tensor: HostTensor): Promise<void> {
    if (!sameType(tensor, this.type)) {
      throw new TypeError(
        `Cannot write ${formatType(tensor)} to a buffer of ${formatType(this.type)}: types must match`,
      );
    }
    this.#check("write");
    await whenFree(this.turns, "write", async () => {
      for (const [device, part] of this.#parts.entries()) await part.write(cutBlock(tensor, this.#block(device)));
    });
  }

  /** Frees all shards; calling it again does nothing. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    void whenFree(this.turns, "write", () => this.#parts.forEach((part) => part.dispose()));
  }

  /** Puts another buffer in place of a device's part, and frees that one; only for whose turn it is to write. */
  replacePart(device: number, part: DeviceBuffer): void {
    if (part === this.#parts[device]) return;
    this.#parts[device]!.dispose();
    this.#parts[device] = part;
  }

  /** Gives every device memory of its own, because parts are about to be written; only for whose turn it is to write. */
  async separate(backend: Backend): Promise<void> {
    if (!this.#sharesMemory) return;
    const owners = new Set(this.#owners());
    for (const [device, part] of this.#parts.entries()) {
      if (owners.has(device)) continue;
      const { dtype, shape, data } = await part.read();
      this.replacePart(device, backend.upload({ dtype, shape, data: data.slice() }, part.device));
    }
    this.#sharesMemory = false;
  }

  /** One device of those that hold the same block, for each block. */
  #owners(): number[] {
    const { mesh } = this.distribution;
    const split = new Set(this.sharding.dims.flat());
    const copied = mesh.axisNames.filter((name) => !split.has(name));
    return [...this.#parts.keys()].filter((device) => groupIndex(mesh, copied, device) === 0);
  }

  #block(device: number) {
    return blockOf(this.type, this.sharding, this.distribution.mesh, device);
  }

  #check(use: string): void {
    if (this.#disposed) throw new TypeError(`Cannot ${use} a ${formatType(this.type)} buffer that was disposed`);
  }
}

/**
 * The devices of a backend that a mesh is made of, in its order.
 *
 * @throws {RangeError} when the backend lacks one.
 */
export function meshDevices(backend: Backend, mesh: DeviceMesh): Device[] {
  return mesh.devices.map((id) => {
    const found = backend.devices.find((device) => device.id === id);
    if (found !== undefined) return found;
    const { length } = backend.devices;
    throw new RangeError(
      `Cannot use ${mesh} on the backend "${backend.name}": it has no device "${id}", only ` +
        `${length === 1 ? "one device" : `${length} devices`} (${backend.devices[0]?.id}` +
        `${
          length > 1 ? ` to ${backend.devices.at(-1)!.id}` : ""
        }); open it with { deviceCount: ${mesh.size} }, or make ` +
        "the mesh of its own devices, listDevices(backend)",
    );
  });
}

/**
 * Shards a host tensor and puts each shard on its device, which may keep the host memory, as `Backend.upload` says.
 *
 * @throws {RangeError} when it cannot be sharded so, or the backend lacks a device.
 */
export function scatter(tensor: HostTensor, backend: Backend, { distribution, sharding }: Placement): ShardedBuffer {
  return scatterFrom(tensor, backend, { distribution, sharding }, (block) => cutBlock(tensor, block));
}

/** The same for a tensor that is not there as a whole: `partOf` makes its blocks, each of them once. */
export function scatterFrom(
  type: TensorType,
  backend: Backend,
  { distribution, sharding }: Placement,
  partOf: (block: ReturnType<typeof blockOf>) => HostTensor,
): ShardedBuffer {
  const { mesh } = distribution;
  const devices = meshDevices(backend, mesh);
  const made = new Map<string, HostTensor>();
  const parts = devices.map((device, i) => {
    const block = blockOf(type, sharding, mesh, i);
    const key = block.starts.join(",");
    const part = made.get(key) ?? partOf(block);
    made.set(key, part);
    return backend.upload(part, device);
  });
  const { dtype, shape } = type;
  return new ShardedBuffer({
    type: { dtype, shape },
    distribution,
    sharding,
    parts,
    shareMemory: made.size < parts.length,
  });
}

/**
 * Puts a host tensor on the devices of a mesh as a layout says.
 *
 * @throws {RangeError} when it cannot be sharded so, or the backend lacks a device.
 */
export function distributeTensor(tensor: HostTensor, layout: TensorLayout, backend: Backend): ShardedBuffer {
  const distribution = new DataParallel({ mesh: layout.mesh });
  return scatter(tensor, backend, { distribution, sharding: layout.sharding(tensor.shape.length) });
}

/** A tensor of zeros on the devices of a mesh; throws as `scatter` does. */
export function scatterZeros(type: TensorType, backend: Backend, { distribution, sharding }: Placement): ShardedBuffer {
  const local = localType(type, sharding, distribution.mesh);
  const parts = meshDevices(backend, distribution.mesh).map((device) => backend.zeros(local, device));
  return new ShardedBuffer({ type, distribution, sharding, parts });
}
