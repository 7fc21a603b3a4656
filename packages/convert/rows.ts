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
  /** The part of the tensor that is the variable, where it holds several, one below the other; all of it unless given. */
  readonly part?: TensorPart;
}

/** A range of the first axis of a tensor. */
export interface TensorPart {
  /** The first row, and the one after the last. */
  readonly rows: readonly [begin: number, end: number];
  /** The number of rows of the whole tensor. */
  readonly of: number;
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
  /** The shape of the whole tensor in the file. */
  readonly shape: readonly number[];
  /** The part of it that is the variable; `null` for all of it. */
  readonly part: TensorPart | null;
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
    return { variable, tensor: row.tensor, ...shapeInFile(row, variable) };
  });
}

function shapeInFile(row: TensorRow, variable: Variable): Pick<Pairing, "shape" | "part"> {
  const part = row.part ?? null;
  const own = mergedShape(variable.storedShape, row.merge);
  if (part === null) return { shape: own, part };
  const [begin, end] = part.rows;
  if (end - begin === own[0] && begin >= 0 && end <= part.of) return { shape: [part.of, ...own.slice(1)], part };
  throw new Error(
    `Cannot convert ${variable}: it has ${own[0]} rows, found ${begin} to ${end - 1} of ${part.of} for it`,
  );
}

/** The module of a checkpoint that holds a layer's kernel, such as `model.layers.0.self_attn.q_proj`; `null` when there is none. */
export function moduleOf(rows: readonly TensorRow[], layerPath: string): string | null {
  const row = rows.find(({ variable }) => variable === `${layerPath}/kernel`);
  return row?.tensor.replace(/\.weight$/, "") ?? null;
}

/**
 * The layers whose kernels a checkpoint's module holds, such as `decoder_block_0/attention/query`, in the order of their rows where
 * it is several; none when there is no such module.
 */
export function layersOf(rows: readonly TensorRow[], module: string): string[] {
  return rows
    .filter(({ tensor, variable }) => tensor === `${module}.weight` && variable.endsWith("/kernel"))
    .toSorted((a, b) => (a.part?.rows[0] ?? 0) - (b.part?.rows[0] ?? 0))
    .map(({ variable }) => variable.replace(/\/kernel$/, ""));
}
