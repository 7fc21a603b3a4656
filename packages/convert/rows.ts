/**
 * How a checkpoint's tensors correspond to a model's variables: a row per variable, used in both directions.
 *
 * A variable is stored in the axis order of the checkpoint, so the two arrays differ at most in that the file merges
 * neighboring axes.
 */
import type { Variable } from "@tessera/nn";

/** A variable and the tensor that holds its values. */
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
  /** What stands in the rows for what was matched. */
  readonly to: string;
}

/** The name in the rows of a tensor in a file. */
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

/** A stored shape with neighboring axes merged. */
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
 * @throws {Error} when there is no row for one: a defect of the architecture, not of the checkpoint.
 */
export function pair(rows: readonly TensorRow[], variables: readonly Variable[]): Pairing[] {
  const byVariable = new Map(rows.map((row) => [row.variable, row]));
  return variables.map((variable) => {
    const row = byVariable.get(variable.path);
    if (row === undefined) {
      throw new Error(`Cannot convert variable "${variable.path}": its architecture has no row for it`);
    }
    return { variable, tensor: row.tensor, shape: mergedShape(variable.storedShape, row.merge) };
  });
}

/** The module of a checkpoint that holds a layer's kernel, such as `model.layers.0.self_attn.q_proj`; `null` when there is none. */
export function moduleOf(rows: readonly TensorRow[], layerPath: string): string | null {
  const row = rows.find(({ variable }) => variable === `${layerPath}/kernel`);
  return row?.tensor.replace(/\.weight$/, "") ?? null;
}

/** The layer whose kernel a checkpoint's module holds, such as `decoder_block_0/attention/query`; `null` when there is none. */
export function layerOf(rows: readonly TensorRow[], module: string): string | null {
  const row = rows.find(({ tensor, variable }) => tensor === `${module}.weight` && variable.endsWith("/kernel"));
  return row?.variable.replace(/\/kernel$/, "") ?? null;
}
