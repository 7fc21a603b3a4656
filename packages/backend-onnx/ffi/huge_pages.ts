/**
 * Host memory in pages of 2 MiB.
 *
 * A product with one row reads its weight once and is done, so it runs at the speed at which memory can be read; that is higher
 * when the processor has fewer pages to look up. Linux gives such pages to memory that asks before it is written.
 */

import { type DType, type HostArray, hostArray } from "@tessera/core";
import { addressOf } from "./environment.ts";

/** Smaller arrays gain nothing, and may share their pages with others. */
const smallestBytes = 2 ** 23;
const smallPage = 4096n;

/** `MADV_HUGEPAGE`. */
const adviseHuge = 14;

/** The C library's `madvise`; `null` where there is none. */
let madvise: ((address: bigint, bytes: bigint, advice: number) => number) | null | undefined;

function findMadvise(): typeof madvise {
  if (Deno.build.os !== "linux") return null;
  try {
    return Deno.dlopen("libc.so.6", { madvise: { parameters: ["usize", "usize", "i32"], result: "i32" } }).symbols
      .madvise;
  } catch {
    // Another C library: pages are small then, which is slower and nothing else.
    return null;
  }
}

/** A zero-filled host array, in huge pages where it is large and the system gives them. */
export function hugeArray<D extends DType>(dtype: D, size: number): HostArray<D> {
  const array = hostArray(dtype, size);
  if (array.byteLength < smallestBytes) return array;
  madvise ??= findMadvise();
  const start = addressOf(array);
  const from = (start + smallPage - 1n) / smallPage * smallPage;
  const to = (start + BigInt(array.byteLength)) / smallPage * smallPage;
  // Only advice: a system that does not follow it says so, and the array works all the same.
  madvise?.(from, to - from, adviseHuge);
  return array;
}
