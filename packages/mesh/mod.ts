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
export type { LayoutVariable } from "./axis_roles.ts";
export { DeviceMesh, getDeviceCount, listDevices, virtualDevices } from "./device_mesh.ts";
export type { DeviceRef, DeviceSource } from "./device_mesh.ts";
export { DataParallel, distribution, ModelParallel, setDistribution, withDistribution } from "./distribution.ts";
export type { BatchDimName, DataParallelOptions, Distribution, ModelParallelOptions } from "./distribution.ts";
export { fitLayout } from "./fit_layout.ts";
export type { Indivisible, IndivisibleOptions } from "./fit_layout.ts";
export { LayoutMap } from "./layout_map.ts";
export type { CheckOptions, LayoutKey, LayoutKeyOptions, LayoutTable } from "./layout_map.ts";
export { partition, shardGraph } from "./partition.ts";
export type { Partitioned, PartitionOptions } from "./partition.ts";
export { propagate } from "./propagate.ts";
export { bytesSent, reshardCost, reshardMoves } from "./reshard.ts";
export type { ReshardMove, ReshardStep } from "./reshard.ts";
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
} from "./sharding.ts";
export type { Block, MeshShape, Sharding } from "./sharding.ts";
export type { DrawableMesh } from "./sharding_grid.ts";
export { shardingSvg } from "./sharding_svg.ts";
export type { SvgOptions } from "./sharding_svg.ts";
export { simulate } from "./simulate.ts";
export { formatSpec, TensorLayout } from "./tensor_layout.ts";
export type { DimLayout, LayoutSpec } from "./tensor_layout.ts";
export { liveBytes, splitAt, trafficOf } from "./traffic.ts";
export type { LiveBytes, Traffic } from "./traffic.ts";
export { visualizeSharding } from "./visualize.ts";
export type { VisualizeOptions } from "./visualize.ts";
