/**
 * The interface between programs and what runs them, and the executor that runs a partitioned program over several devices.
 *
 * @module
 */
export type { Backend, Buffer, CompileOptions, Device, Excess, Executable } from "./backend.ts";
export { cutBlock } from "./blocks.ts";
export { formatExcess } from "./excess.ts";
export type { Communicator, Exchange, ExchangeName, Exchanges } from "./communicator.ts";
export { compileSharded } from "./executor.ts";
export type { ShardedCompileOptions, ShardedExecutable } from "./executor.ts";
export { localCommunicator } from "./local_communicator.ts";
export { memoryOfSteps } from "./memory.ts";
export type { MemoryOfRun } from "./memory.ts";
export { distributeTensor, meshDevices, scatter, scatterFrom, scatterZeros, ShardedBuffer } from "./sharded_buffer.ts";
export type { Placement, ShardedBufferParts } from "./sharded_buffer.ts";
export { cutSteps } from "./steps.ts";
export type { ExchangeStep, Segment, Step, Steps } from "./steps.ts";
