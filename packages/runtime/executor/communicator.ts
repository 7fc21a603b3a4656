/**
 * What an executor asks of whatever carries data between devices.
 *
 * The one here (`local_communicator.ts`) serves the devices of one process through host memory. An engine over MPI or NCCL
 * implements the same two interfaces: `begin` stands for entering a run, and each `exchange` for one call of that engine by one
 * rank, `MPI_Iallreduce` and its siblings or `ncclAllReduce` on a stream of the device. All devices of a group make the same
 * exchanges in the same order, so that engines that match calls by their order need no tags; the number of the step says it all
 * the same, for those that do not.
 */
import type { Collective, CollectiveName } from "@tessera/core";
import type { DeviceBuffer } from "../backend.ts";

/** The collectives that send something. */
export type ExchangeName = Exclude<CollectiveName, "shardSlice" | "deviceIndex">;

/** A collective within a group of devices, as each of them requests it. */
export type Exchange = {
  readonly [K in ExchangeName]: {
    /** What is exchanged how; see core's table of collectives. */
    readonly op: K;
    /** Its attributes. */
    readonly attrs: Collective[K]["attrs"];
    /** The number of the step in its program, the same for all devices. */
    readonly step: number;
    /** The devices of the group by their place in the mesh, in the order of their parts. */
    readonly group: readonly number[];
  };
}[ExchangeName];

/** The collectives of one run of a program. */
export interface Exchanges {
  /**
   * Takes part in a collective for one device, and gives what it has afterwards, in buffers of its own that the caller frees.
   * Operands are only read, and no longer needed when the promise settles. Rejects when the run is aborted meanwhile.
   */
  exchange(device: number, exchange: Exchange, operands: readonly DeviceBuffer[]): Promise<DeviceBuffer[]>;
  /** Rejects all exchanges of the run that are waiting for a device and all that come: one device has failed. */
  abort(reason: Error): void;
}

/** What carries data between devices. */
export interface Communicator {
  /** Begins a run of a program; its exchanges do not mix with those of other runs. */
  begin(): Exchanges;
}
