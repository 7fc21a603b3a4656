/** Saying what is too large for a device. */
import { formatType } from "@tessera/core";
import { formatBytes } from "@tessera/text";
import type { Excess } from "./backend.ts";

/** A tensor that is too large, as a sentence says it: what it is, its type and size, and the limit. */
export function formatExcess({ what, type, bytes, limitBytes }: Excess): string {
  return `${what}, ${formatType(type)}, takes ${formatBytes(bytes)}, and a program there reads and writes at most ` +
    `${formatBytes(limitBytes)} of one tensor`;
}
