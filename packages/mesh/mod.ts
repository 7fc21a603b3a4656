/**
 * Meshes of devices and how tensors lie on them.
 *
 * ```ts
 * import { DeviceMesh, LayoutMap, ModelParallel, setDistribution, virtualDevices } from "@tessera/mesh";
 *
 * const mesh = new DeviceMesh([2, 8], ["batch", "model"], virtualDevices(16));
 * const layoutMap = new LayoutMap(mesh)
 *   .set("token_embedding/embeddings", ["model", "batch"])
 *   .set("decoder_block.*attention.*(query|key|value).kernel", ["model", "batch", null]);
 * setDistribution(new ModelParallel({ layoutMap, batchDimName: "batch" }));
 * ```
 *
 * @module
 */
export type { LayoutVariable } from "./layout/axis_roles.ts";
export { DeviceMesh, getDeviceCount, listDevices, virtualDevices } from "./layout/device_mesh.ts";
export type { DeviceRef, DeviceSource } from "./layout/device_mesh.ts";
export { DataParallel, distribution, ModelParallel, setDistribution, withDistribution } from "./layout/distribution.ts";
export type { BatchDimName, DataParallelOptions, Distribution, ModelParallelOptions } from "./layout/distribution.ts";
export { fitLayout } from "./layout/fit_layout.ts";
export type { Indivisible, IndivisibleOptions } from "./layout/fit_layout.ts";
export { LayoutMap } from "./layout/layout_map.ts";
export type { CheckOptions, LayoutKey, LayoutKeyOptions, LayoutTable } from "./layout/layout_map.ts";
export { partition, shardGraph } from "./partition/partition.ts";
export type { Partitioned, PartitionOptions } from "./partition/partition.ts";
export { propagate } from "./sharding/propagate.ts";
export { bytesSent, reshardCost, reshardMoves } from "./sharding/reshard.ts";
export type { ReshardMove, ReshardStep } from "./sharding/reshard.ts";
export {
  axisSize,
  blockOf,
  checkSharding,
  coordinatesOf,
  deviceCount,
  formatSharding,
  groupIndex,
  groupOf,
  isReplicated,
  localType,
  partsOf,
  replicated,
  sameSharding,
  wholeType,
  withoutTrivialAxes,
} from "./sharding/sharding.ts";
export type { Block, MeshShape, Sharding } from "./sharding/sharding.ts";
export type { DrawableMesh } from "./drawing/sharding_grid.ts";
export { shardingSvg } from "./drawing/sharding_svg.ts";
export type { SvgOptions } from "./drawing/sharding_svg.ts";
export { simulate } from "./partition/simulate.ts";
export { formatSpec, TensorLayout } from "./layout/tensor_layout.ts";
export type { DimLayout, LayoutSpec } from "./layout/tensor_layout.ts";
export { liveBytes, splitAt, trafficOf } from "./partition/traffic.ts";
export type { LiveBytes, Traffic } from "./partition/traffic.ts";
export { visualizeSharding } from "./drawing/visualize.ts";
export type { VisualizeOptions } from "./drawing/visualize.ts";
