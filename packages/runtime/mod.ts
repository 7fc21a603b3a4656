/**
 * The interface between programs and what runs them, and the executor that runs a partitioned program over several devices.
 *
 * @module
 */
export type { Backend, CompileOptions, Device, DeviceBuffer, Excess, Executable } from "./backend.ts";
export { cutBlock } from "./blocks.ts";
export { formatExcess } from "./excess.ts";
export type { Communicator, Exchange, ExchangeName, Exchanges } from "./executor/communicator.ts";
export { compileSharded } from "./executor/executor.ts";
export type { ShardedCompileOptions, ShardedExecutable } from "./executor/executor.ts";
export { localCommunicator } from "./executor/local_communicator.ts";
export { memoryOfSteps } from "./executor/memory.ts";
export type { MemoryOfRun } from "./executor/memory.ts";
export {
  distributeTensor,
  meshDevices,
  scatter,
  scatterFrom,
  scatterZeros,
  ShardedBuffer,
} from "./executor/sharded_buffer.ts";
export type { Placement, ShardedBufferParts } from "./executor/sharded_buffer.ts";
export { cutSteps } from "./executor/steps.ts";
export type { ExchangeStep, Segment, Step, Steps } from "./executor/steps.ts";
