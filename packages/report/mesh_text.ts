/** A mesh in words. */
import { formatCount } from "@tessera/text";
import type { MeshFacts } from "./record.ts";

/** A mesh, such as `batch 2 × model 2 = 4 devices`. */
export function describeMesh({ axes, devices }: MeshFacts): string {
  const sizes = axes.map(({ name, size }) => `${name} ${size}`).join(" × ");
  return `${sizes} = ${formatCount(devices.length)} device${devices.length === 1 ? "" : "s"}`;
}
