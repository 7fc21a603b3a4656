/** How variables lie on a mesh, one line each: path, shape and layout. */
import { type Distribution, formatSpec } from "@tessera/mesh";
import { layoutOf } from "./placement.ts";
import type { Variable } from "./variable.ts";

/** A shape as Python prints a tuple, such as `(16, 3072, 256)`. */
function formatShape(shape: readonly number[]): string {
  return `(${shape.join(", ")}${shape.length === 1 ? "," : ""})`;
}

/**
 * Where variables lie, or will lie, by a distribution: a line such as
 * `decoder_block_1/attention/query/kernel  (16, 3072, 256)  PartitionSpec('model', None, None)` for each.
 *
 * @throws what `layoutOf` throws.
 */
export function formatShardings(variables: readonly Variable[], distribution: Distribution): string {
  const rows = variables.map((variable) => {
    const { path, shape } = variable;
    return [path, formatShape(shape), formatSpec(layoutOf(variable, distribution).sharding(shape.length))] as const;
  });
  const widthOf = (column: 0 | 1) => Math.max(0, ...rows.map((row) => row[column].length));
  const widths = [widthOf(0), widthOf(1)] as const;
  return rows.map(([path, shape, spec]) => `${path.padEnd(widths[0])}  ${shape.padEnd(widths[1])}  ${spec}`).join("\n");
}
