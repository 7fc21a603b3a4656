/** The table that `summary()` prints: layers, shapes and parameter counts. No weights are needed for it. */
import { bytesPerElement, formatBytes, formatCount, formatTable } from "@tessera/core";
import type { Variable } from "./variable.ts";

/** Parameter counts of a model. */
export interface ParameterCounts {
  /** All parameters. */
  readonly total: number;
  /** Those that training changes. */
  readonly trainable: number;
  /** The size of the stored weights, in bytes. */
  readonly bytes: number;
}

/** Counts the parameters of some variables. */
export function countParameters(variables: Iterable<Variable>): ParameterCounts {
  let [total, trainable, bytes] = [0, 0, 0];
  for (const variable of variables) {
    total += variable.size;
    if (variable.trainable) trainable += variable.size;
    bytes += variable.size * bytesPerElement(variable.dtype);
  }
  return { total, trainable, bytes };
}

/** One row per group of like variables: those whose paths differ only in the number of their block. */
interface Group {
  readonly pattern: string;
  readonly first: Variable;
  readonly members: Variable[];
}

function groupByPattern(variables: readonly Variable[]): Group[] {
  const groups = new Map<string, Group>();
  for (const variable of variables) {
    const pattern = variable.path.replace(/(block|layer)_\d+(?=\/)/g, "$1_*");
    const key = `${pattern} ${variable.shape.join("x")} ${variable.dtype} ${variable.trainable}`;
    const group = groups.get(key) ?? { pattern, first: variable, members: [] };
    group.members.push(variable);
    groups.set(key, group);
  }
  return [...groups.values()];
}

/**
 * A model's variables as a table: one row per kind, with how many blocks have it, its shape and its parameters, and the totals
 * below.
 */
export function formatSummary(
  name: string,
  variables: readonly Variable[],
  options: { readonly width?: number } = {},
): string {
  const rows = groupByPattern(variables).map(({ pattern, first, members }) => [
    members.length === 1 ? first.path : pattern,
    members.length === 1 ? "" : `× ${members.length}`,
    `(${first.shape.join(", ")})`,
    first.dtype,
    formatCount(first.size * members.length),
    first.trainable ? "yes" : "no",
  ]);
  const table = formatTable(rows, {
    columns: [
      { header: "Variable", shrink: "middle" },
      { header: "Blocks" },
      { header: "Shape" },
      { header: "Dtype" },
      { header: "Parameters", align: "right" },
      { header: "Trainable" },
    ],
    ...(options.width === undefined ? {} : { width: options.width }),
  });
  const all = countParameters(variables);
  const trainable = countParameters(variables.filter((variable) => variable.trainable));
  const frozen = countParameters(variables.filter((variable) => !variable.trainable));
  return [
    `Model: "${name}"`,
    table,
    ` Total params: ${formatCount(all.total)} (${formatBytes(all.bytes)})`,
    ` Trainable params: ${formatCount(trainable.total)} (${formatBytes(trainable.bytes)})`,
    ` Non-trainable params: ${formatCount(frozen.total)} (${formatBytes(frozen.bytes)})`,
  ].join("\n");
}
