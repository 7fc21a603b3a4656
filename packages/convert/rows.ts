/**
 * How a checkpoint's tensors correspond to a model's variables: a table per architecture, used in both directions.
 *
 * A variable is stored in the axis order of the checkpoint, so the two arrays differ at most in that the file merges
 * neighbouring axes.
 */
import type { Variable } from "@tessera/nn";

/** One line of an architecture's table. `{i}` in both names stands for the number of a block. */
export interface TensorRow {
  /** The path of the variable. */
  readonly variable: string;
  /** The name of the tensor. */
  readonly tensor: string;
  /** How many stored axes each axis of the tensor merges; one each unless given. */
  readonly merge?: readonly number[];
}

/** Another name of some tensors: what it is in files, and what to read it as. */
export interface NameRule {
  /** Matches names in a file. */
  readonly from: RegExp;
  /** What stands in the table for what was matched. */
  readonly to: string;
}

/** The name in the table of a tensor in a file. */
export function tableName(name: string, rules: readonly NameRule[]): string {
  const rule = rules.find(({ from }) => from.test(name));
  return rule === undefined ? name : name.replace(rule.from, rule.to);
}

/** A variable, and the tensor that holds its values. */
export interface Pairing {
  /** The variable. */
  readonly variable: Variable;
  /** The name of the tensor. */
  readonly tensor: string;
  /** The shape of the tensor in the file. */
  readonly shape: readonly number[];
}

/** A regular expression that matches a name with any number for `{i}`, and captures it. */
function pattern(name: string): RegExp {
  const escaped = name.replace(/[.*+?^$()|[\]\\]/g, "\\$&");
  return new RegExp(`^${escaped.replace("{i}", "(\\d+)")}$`);
}

/** The name in one column of the table that corresponds to a name in the other; `null` when no row has it. */
export function translate(
  rows: readonly TensorRow[],
  name: string,
  from: "variable" | "tensor",
): { readonly row: TensorRow; readonly name: string } | null {
  for (const row of rows) {
    const match = pattern(row[from]).exec(name);
    if (match === null) continue;
    const other = from === "variable" ? row.tensor : row.variable;
    return { row, name: match[1] === undefined ? other : other.replace("{i}", match[1]) };
  }
  return null;
}

/** A stored shape with neighbouring axes merged. */
export function mergedShape(stored: readonly number[], merge: readonly number[] = stored.map(() => 1)): number[] {
  let axis = 0;
  return merge.map((count) => {
    const length = stored.slice(axis, axis + count).reduce((product, n) => product * n, 1);
    axis += count;
    return length;
  });
}

/**
 * The tensor of each variable.
 *
 * @throws {Error} when the table has no row for one: a defect of the table, not of the checkpoint.
 */
export function pair(rows: readonly TensorRow[], variables: readonly Variable[]): Pairing[] {
  return variables.map((variable) => {
    const found = translate(rows, variable.path, "variable");
    if (found === null) {
      throw new Error(`Cannot convert variable "${variable.path}": its architecture's table has no row for it`);
    }
    return { variable, tensor: found.name, shape: mergedShape(variable.storedShape, found.row.merge) };
  });
}

/** The module of a checkpoint that holds a layer's kernel, such as `model.layers.0.self_attn.q_proj`; `null` when there is none. */
export function moduleOf(rows: readonly TensorRow[], layerPath: string): string | null {
  return translate(rows, `${layerPath}/kernel`, "variable")?.name.replace(/\.weight$/, "") ?? null;
}

/** The layer whose kernel a checkpoint's module holds, such as `decoder_block_0/attention/query`; `null` when there is none. */
export function layerOf(rows: readonly TensorRow[], module: string): string | null {
  return translate(rows, `${module}.weight`, "tensor")?.name.replace(/\/kernel$/, "") ?? null;
}
