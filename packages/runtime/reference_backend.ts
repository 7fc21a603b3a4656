/** The slow, obvious backend: graphs run on core's reference evaluator. Executors and programs are tested on it. */
import {
  type DType,
  dtypes,
  evaluate,
  formatType,
  type HostTensor,
  hostZeros,
  isOpName,
  type OpName,
  primitives,
  sameType,
  type TensorType,
} from "@tessera/core";
import type { Backend, Device, DeviceBuffer } from "./backend.ts";
import { checkDevice, checkDonations, checkInputs, deviceOfRun, virtualDevices } from "./checks.ts";
import { newTurns, type Turns, whenAllFree, whenFree } from "./turns.ts";

class HostBuffer implements DeviceBuffer {
  readonly type: TensorType;
  readonly turns: Turns = newTurns();
  disposed = false;

  constructor(readonly device: Device, public tensor: HostTensor) {
    this.type = { dtype: tensor.dtype, shape: tensor.shape };
  }

  async read(): Promise<HostTensor> {
    if (this.disposed) throw new TypeError(`Cannot read a ${formatType(this.type)} buffer that was disposed`);
    return await whenFree(this.turns, "read", () => ({ ...this.tensor, data: this.tensor.data.slice() }));
  }

  async write(tensor: HostTensor): Promise<void> {
    if (!sameType(tensor, this.type)) {
      throw new TypeError(
        `Cannot write ${formatType(tensor)} to a buffer of ${formatType(this.type)}: types must match`,
      );
    }
    await whenFree(this.turns, "write", () => this.tensor.data.set(tensor.data));
  }

  dispose(): void {
    this.disposed = true;
  }
}

/** A backend on the reference evaluator, with as many virtual devices as are asked for. */
export function referenceBackend(options: { readonly deviceCount?: number } = {}): Backend {
  const devices = virtualDevices("reference", options.deviceCount ?? 1);
  const own = (device: Device) => checkDevice("reference", devices, device);
  return {
    name: "reference",
    devices,
    computes: new Set<DType>(dtypes),
    moves: new Set<OpName>(Object.keys(primitives).filter(isOpName)),
    upload: (tensor, device = devices[0]!) => new HostBuffer(own(device), tensor),
    zeros: ({ dtype, shape }, device = devices[0]!) => new HostBuffer(own(device), hostZeros(dtype, shape)),
    compile(graph, compileOptions) {
      [compileOptions.device, ...compileOptions.alsoOn ?? []].forEach(own);
      checkDonations(graph, compileOptions.donate);
      const donors = new Map([...compileOptions.donate ?? []].map(([input, output]) => [output, input]));
      return Promise.resolve({
        graph,
        async run(inputs) {
          const device = deviceOfRun(compileOptions, inputs);
          const buffers = checkInputs(graph, device, inputs, (buffer) => buffer instanceof HostBuffer);
          const donated = new Set([...donors.values()].map((input) => buffers[input]!));
          return await whenAllFree(
            buffers,
            donated,
            () =>
              evaluate(graph, buffers.map(({ tensor }) => tensor)).map((result, i) => {
                const donor = donors.get(i);
                if (donor === undefined) return new HostBuffer(device, result);
                // Overwrites the old value, as a backend does that computes in place.
                buffers[donor]!.tensor.data.set(result.data);
                return buffers[donor]!;
              }),
          );
        },
        dispose() {},
      });
    },
    dispose() {},
  };
}
