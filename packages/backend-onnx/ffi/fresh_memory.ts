/**
 * Large native allocations that are zeros.
 *
 * ONNX Runtime finds out whether two programs prepacked a weight alike by comparing all bytes of the results, and a kernel for 4
 * bits leaves some of them as it found them. So what is allocated must always start out the same. The C library of GNU takes large
 * allocations from the system, which gives zeros, but stops doing so for sizes that were freed before, unless it is told not to.
 */

/** `M_MMAP_THRESHOLD`. */
const mmapThreshold = -3;

/** The size from which allocations come from the system, in bytes: the C library's default. */
const fromSystem = 2 ** 17;

let isSet = false;

/** Makes large allocations come from the system from now on, where the C library can. */
export function allocateFresh(): void {
  if (isSet || Deno.build.os !== "linux") return;
  isSet = true;
  try {
    const libc = Deno.dlopen("libc.so.6", { mallopt: { parameters: ["i32", "i32"], result: "i32" } });
    libc.symbols.mallopt(mmapThreshold, fromSystem);
    libc.close();
  } catch {
    // Another C library: programs then keep their own copies, and nothing else changes.
  }
}
