/** What the arena holds, which all programs of a process share: their intermediate values and their fresh outputs. */
import type { Environment } from "./environment.ts";
import { outPointer } from "./environment.ts";
import { cString } from "./library.ts";

/** What the arena of a process holds, in bytes. */
export interface ArenaUse {
  /** What is in use now. */
  readonly inUse: number;
  /** The peak in use since ONNX Runtime was started. */
  readonly peak: number;
  /** What the arena has taken from the operating system, gaps included. */
  readonly reserved: number;
}

/** Reads the statistics of the arena that a session allocates in. */
export function arenaUse(environment: Environment, session: bigint): ArenaUse {
  const { api, memory } = environment;
  const out = outPointer();
  api.createAllocator(session, memory, out);
  const allocator = out[0]!;
  try {
    return statistics(environment, allocator);
  } finally {
    api.releaseAllocator(allocator);
  }
}

/** Reads the statistics of an allocator that is an arena. */
export function statistics({ api }: Environment, allocator: bigint): ArenaUse {
  const out = outPointer();
  api.allocatorGetStats(allocator, out);
  const pairs = out[0]!;
  const read = (key: string) => Number(api.getKeyValue(pairs, cString(key)));
  try {
    return { inUse: read("InUse"), peak: read("MaxInUse"), reserved: read("TotalAllocated") };
  } finally {
    api.releaseKeyValuePairs(pairs);
  }
}
