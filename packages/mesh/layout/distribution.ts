/**
 * Distributions: which mesh a model runs on, how a batch is sharded over it and where each variable lies.
 *
 * A distribution holds no values and is only queried, so it can be set before or after a model
 * is made. Data parallelism shards the batch over all devices and replicates every variable; model parallelism shards the
 * batch over one axis of the mesh and each variable as a layout map says.
 */
import { checkOptions, type OptionNames } from "@tessera/text";
import type { LayoutVariable } from "./axis_roles.ts";
import { DeviceMesh, type DeviceRef, formatAxes, noAxis } from "./device_mesh.ts";
import { fitLayout, type IndivisibleOptions } from "./fit_layout.ts";
import type { CheckOptions, LayoutMap } from "./layout_map.ts";
import { TensorLayout } from "./tensor_layout.ts";

/** How a model lies on a mesh. */
export interface Distribution<Axis extends string = string> {
  /** The devices. */
  readonly mesh: DeviceMesh<Axis>;
  /** The mesh axes that the batch is sharded over, the outermost first. */
  readonly batchAxes: readonly Axis[];
  /** The number of groups of devices that each work on a batch of their own. */
  readonly numModelReplicas: number;
  /** The layout of an array of the batch; the first axis is sharded. A scalar is replicated. */
  getDataLayout(shape: readonly number[]): TensorLayout<Axis>;
  /** The layout of a variable; throws when it cannot be sharded so. */
  getVariableLayout(variable: LayoutVariable): TensorLayout<Axis>;
  /** The layout requested for an activation, such as `decoder_block_0/output`; `undefined` when none is. */
  getTensorLayout(path: string): TensorLayout<Axis> | undefined;
  /** Checks the layouts of all variables of a model at once, before any value exists; throws at the first wrong one. */
  check(variables: readonly LayoutVariable[], options?: Pick<CheckOptions, "activations">): void;
}

/** The mesh axis that a batch is sharded over, or several, the outermost first. */
export type BatchDimName<Axis extends string> = Axis | readonly Axis[];

/** What data parallelism runs on: devices, or a mesh, over whose axes the batch is sharded (all of them by default). */
export type DataParallelOptions<Axis extends string> =
  | { readonly mesh: DeviceMesh<Axis>; readonly batchDimName?: BatchDimName<NoInfer<Axis>> }
  | { readonly devices: readonly (string | DeviceRef)[] };

const dataParallelNames = { mesh: true, batchDimName: true, devices: true } as const;

/** Data parallelism: every device has a replica of the model and a shard of the batch. */
export class DataParallel<Axis extends string = "batch"> implements Distribution<Axis> {
  /** The devices. */
  readonly mesh: DeviceMesh<Axis>;
  /** The mesh axes that the batch is sharded over, the outermost first. */
  readonly batchAxes: readonly Axis[];

  /**
   * Spreads batches over a mesh, or over devices, which become a mesh with the one axis `batch`.
   *
   * @throws {RangeError} when the mesh lacks an axis, or there are no devices.
   * @throws {TypeError} when an axis is named twice.
   */
  constructor(options: DataParallelOptions<Axis>) {
    checkOptions("make data parallelism", options, dataParallelNames);
    if ("mesh" in options) {
      this.mesh = options.mesh;
      this.batchAxes = checkBatchAxes(options.mesh, options.batchDimName ?? options.mesh.axisNames);
    } else {
      // Given devices, the type parameter is its default.
      const batch = "batch" as Axis;
      this.mesh = new DeviceMesh([options.devices.length], [batch], options.devices);
      this.batchAxes = [batch];
    }
  }

  /** The number of groups of devices that each work on a batch of their own. */
  get numModelReplicas(): number {
    return replicas(this);
  }

  /** The layout of an array of the batch; the first axis is sharded. A scalar is replicated. */
  getDataLayout(shape: readonly number[]): TensorLayout<Axis> {
    return dataLayout(this, shape);
  }

  /** The layout of a variable: replicated. */
  getVariableLayout(variable: LayoutVariable): TensorLayout<Axis> {
    return replicated(this.mesh, variable.shape);
  }

  /** No activation has a layout of its own. */
  getTensorLayout(_path: string): undefined {
    return undefined;
  }

  /** Does nothing: whatever the variables are, they can be replicated. */
  check(): void {}
}

/** What model parallelism runs on. */
export interface ModelParallelOptions<Axis extends string> extends IndivisibleOptions {
  /** The layouts of variables and activations, and with them the mesh. */
  readonly layoutMap: LayoutMap<Axis>;
  /** The mesh axis that the batch is sharded over, or several; the first axis of the mesh unless given. */
  readonly batchDimName?: BatchDimName<NoInfer<Axis>>;
}

const modelParallelNames: OptionNames<ModelParallelOptions<string>> = {
  layoutMap: true,
  batchDimName: true,
  kvHeads: true,
  indivisible: true,
};

/** Variables sharded over the mesh as a layout map says; what it does not name is replicated. */
export class ModelParallel<Axis extends string = string> implements Distribution<Axis> {
  /** The layouts of variables and activations. */
  readonly layoutMap: LayoutMap<Axis>;
  /** The mesh axes that the batch is sharded over, the outermost first. */
  readonly batchAxes: readonly Axis[];
  readonly #fit: IndivisibleOptions;

  /**
   * Shards variables as a layout map says.
   *
   * @throws {RangeError} when the mesh lacks an axis of `batchDimName`.
   * @throws {TypeError} when an axis is named twice.
   */
  constructor(options: ModelParallelOptions<Axis>) {
    checkOptions("make model parallelism", options, modelParallelNames);
    const { layoutMap, batchDimName, ...fit } = options;
    this.layoutMap = layoutMap;
    this.batchAxes = checkBatchAxes(layoutMap.mesh, batchDimName ?? layoutMap.mesh.axisNames.slice(0, 1));
    this.#fit = fit;
  }

  /** The devices. */
  get mesh(): DeviceMesh<Axis> {
    return this.layoutMap.mesh;
  }

  /** The number of groups of devices that each work on a batch of their own. */
  get numModelReplicas(): number {
    return replicas(this);
  }

  /** The layout of an array of the batch; the first axis is sharded. A scalar is replicated. */
  getDataLayout(shape: readonly number[]): TensorLayout<Axis> {
    return dataLayout(this, shape);
  }

  /**
   * The layout of a variable: that of the key that matches its path; replicated when no key matches.
   *
   * @throws {TypeError} when several keys match.
   * @throws {RangeError} when a dimension does not divide over its mesh axes and no option allows to copy it.
   */
  getVariableLayout(variable: LayoutVariable): TensorLayout<Axis> {
    const layout = this.layoutMap.get(variable.path);
    return layout === undefined ? replicated(this.mesh, variable.shape) : fitLayout(layout, variable, this.#fit);
  }

  /**
   * The layout that the map has for an activation, such as `decoder_block_0/output`.
   *
   * @throws {TypeError} when several keys match.
   */
  getTensorLayout(path: string): TensorLayout<Axis> | undefined {
    return this.layoutMap.get(path);
  }

  /**
   * Checks that every key of the map matches something and that every variable can be sharded as its layout says.
   *
   * @throws {TypeError} when a key that is not optional matches nothing, or several match one path.
   * @throws {RangeError} when a dimension does not divide over its mesh axes and no option allows to copy it.
   */
  check(variables: readonly LayoutVariable[], options: Pick<CheckOptions, "activations"> = {}): void {
    this.layoutMap.check(variables, { ...this.#fit, ...options });
  }
}

function checkBatchAxes<Axis extends string>(mesh: DeviceMesh<Axis>, name: BatchDimName<Axis>): readonly Axis[] {
  const names = typeof name === "string" ? [name] : name;
  if (names.length === 0) {
    throw new RangeError(`Cannot shard batches: name one of the mesh axes ${formatAxes(mesh.axes)}`);
  }
  names.forEach((axis, i) => {
    const attempt = `Cannot shard batches over mesh axis "${axis}"`;
    if (!mesh.hasAxis(axis)) throw new RangeError(`${attempt}: ${noAxis(mesh, axis)}`);
    if (names.indexOf(axis) !== i) throw new TypeError(`${attempt}: it is named twice`);
  });
  return names;
}

function replicas({ mesh, batchAxes }: Distribution): number {
  return batchAxes.reduce((product, axis) => product * mesh.sizeOf(axis), 1);
}

function dataLayout<Axis extends string>(
  { mesh, batchAxes }: Distribution<Axis>,
  shape: readonly number[],
): TensorLayout<Axis> {
  return new TensorLayout(shape.map((_, axis) => axis === 0 ? batchAxes : null), mesh);
}

function replicated<Axis extends string>(mesh: DeviceMesh<Axis>, shape: readonly number[]): TensorLayout<Axis> {
  return new TensorLayout(shape.map(() => null), mesh);
}

let current: Distribution | null = null;

/** Sets the distribution that models use from now on; `null` for one device. */
export function setDistribution(value: Distribution | null): void {
  current = value;
}

/** The distribution that models use; `null` for one device. */
export function distribution(): Distribution | null {
  return current;
}

/**
 * Calls a function while a distribution is set, and sets the earlier one again when it ends. A promise ends when it
 * settles; until then the distribution is set for everything that runs meanwhile.
 */
export function withDistribution<T>(value: Distribution | null, call: () => T): T {
  const earlier = current;
  const restore = () => {
    current = earlier;
  };
  current = value;
  let result: T;
  try {
    result = call();
  } catch (error) {
    restore();
    throw error;
  }
  if (result instanceof Promise) return result.finally(restore) as T;
  restore();
  return result;
}
