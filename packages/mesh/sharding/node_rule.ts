/**
 * What sharding one node over a mesh means: the loops ("factors") that its axes stand for, and which may be split.
 *
 * A factor that is sharded over mesh axes splits every tensor axis that names it; a result that does not name it is partial.
 * The strings come from core's op tables. A few ops may be split in more ways than their strings say, because the
 * partitioner has a rule for them; `splittable` lists those.
 */
import {
  type AxisFactors,
  type Factors,
  type GraphNode,
  type OpName,
  opOf,
  type Ops,
  parseFactors,
} from "@tessera/core";
import { axisSize, type MeshShape, partsOf } from "./sharding.ts";

/** The factors of one tensor: per axis their names, outermost first. */
export type TensorFactors = readonly (readonly string[])[];

/** Which mesh axes split each factor, outermost first; factors that are not split are absent. */
export type Assignment = ReadonlyMap<string, readonly string[]>;

/** The factors of a node. */
export interface NodeRule {
  /** The factors of each operand. */
  readonly operands: readonly TensorFactors[];
  /** The factors of each result. */
  readonly results: readonly TensorFactors[];
  /** The length of each factor. */
  readonly lengths: ReadonlyMap<string, number>;
  /** The factors that may not be split. */
  readonly whole: ReadonlySet<string>;
}

/** Factors marked whole in core that the partitioner can split nevertheless; see `local_ops.ts` for how. */
const splittable: { readonly [K in OpName]?: (factors: Factors, attrs: Ops[K]["attrs"]) => AxisFactors } = {
  max: ({ operands }) => operands[0]!.flat(),
  min: ({ operands }) => operands[0]!.flat(),
  scatterAdd: ({ operands }, { axis }) => operands[0]![axis]!,
  takeAlongAxis: ({ operands }, { axis }) => [...operands[0]![axis]!, ...operands[1]![axis]!],
  addAlongAxis: ({ operands }, { axis }) => [...operands[0]![axis]!, ...operands[1]![axis]!],
};

const parsed = new Map<string, Factors>();

function readFactors(text: string): Factors {
  let found = parsed.get(text);
  if (found === undefined) parsed.set(text, found = parseFactors(text));
  return found;
}

/** The factors of a node; `null` when its op has none. */
export function ruleOf(node: GraphNode): NodeRule | null {
  const text = opOf(node.op).factors(node.operands.map(({ type }) => type), node.attrs);
  if (text === null) return null;
  const factors = readFactors(text);
  const more = splittable[node.op] as ((factors: Factors, attrs: unknown) => AxisFactors) | undefined;
  const freed = new Set(more?.(factors, node.attrs).map(({ name }) => name));
  const named = (axes: readonly AxisFactors[]) => axes.map((names) => names.map(({ name }) => name));
  const all = [...factors.operands, ...factors.results].flat(2);
  const rule = { operands: factors.operands.map(named), results: factors.results.map(named) };
  const whole = all.filter((factor) => factor.whole && !freed.has(factor.name)).map(({ name }) => name);
  return { ...rule, whole: new Set(whole), lengths: lengthsOf(node, rule) };
}

/** An axis of one factor gives its length; one of several gives that of the one that no other axis gives. */
function lengthsOf(
  node: GraphNode,
  { operands, results }: Pick<NodeRule, "operands" | "results">,
): Map<string, number> {
  const lengths = new Map<string, number>();
  const sides = [
    ...operands.map((axes, i) => [axes, node.operands[i]!.shape] as const),
    ...results.map((axes, i) => [axes, node.results[i]!.shape] as const),
  ];
  for (const several of [false, true]) {
    for (const [axes, shape] of sides) {
      axes.forEach((names, axis) => {
        if ((names.length > 1) !== several) return;
        const missing = names.filter((name) => !lengths.has(name));
        if (missing.length !== 1) return;
        const rest = names.reduce((product, name) => product * (lengths.get(name) ?? 1), 1);
        lengths.set(missing[0]!, shape[axis]! / rest);
      });
    }
  }
  return lengths;
}

/**
 * How the factors of a tensor are split when the tensor is split as `dims` says. Mesh axes that fall on no factor, or on
 * one that may not be split or does not divide, are left out.
 */
export function factorAxes(
  dims: readonly (readonly string[])[],
  axes: TensorFactors,
  rule: NodeRule,
  mesh: MeshShape,
): Assignment {
  const found = new Map<string, string[]>();
  axes.forEach((names, axis) => {
    let at = 0;
    let rest = rule.lengths.get(names[0] ?? "") ?? 1;
    for (const meshAxis of dims[axis] ?? []) {
      const size = axisSize(mesh, meshAxis);
      // An outer factor that is used up makes room for the next one in.
      while (rest === 1 && at + 1 < names.length) rest = rule.lengths.get(names[++at]!) ?? 1;
      const name = names[at];
      if (name === undefined || rule.whole.has(name) || rest === 0 || rest % size !== 0) return;
      found.set(name, [...found.get(name) ?? [], meshAxis]);
      rest /= size;
    }
  });
  return found;
}

/**
 * How a tensor is sharded when the factors are; `null` when that is no split into blocks, because an inner factor is split
 * and an outer one is not, or not wholly.
 */
export function dimsOf(
  assignment: Assignment,
  axes: TensorFactors,
  rule: NodeRule,
  mesh: MeshShape,
): readonly (readonly string[])[] | null {
  const dims: string[][] = [];
  for (const names of axes) {
    const own: string[] = [];
    let blocked = false;
    for (const name of names) {
      const split = assignment.get(name) ?? [];
      if (split.length > 0 && blocked) return null;
      own.push(...split);
      if (partsOf(mesh, split) !== rule.lengths.get(name)) blocked = true;
    }
    dims.push(own);
  }
  return dims;
}

/** Tells whether a tensor has an axis that names a factor. */
export function names(axes: TensorFactors, factor: string): boolean {
  return axes.some((own) => own.includes(factor));
}
