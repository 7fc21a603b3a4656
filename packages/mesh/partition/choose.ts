/**
 * How one node is sharded: which mesh axes split which of its factors, given the shardings of its operands.
 *
 * For each mesh axis the candidates are the factors that an operand is split by already, or that the result is advised to
 * be split by. A choice that needs no communication for the operands wins: then sharded axes stay sharded, and sums over
 * sharded axes become partial. Only where operands disagree do bytes decide: those that bring the operands there, and those
 * that bring the result to where it is advised to be, which is then done at once.
 */
import type { GraphNode, OpName } from "@tessera/core";
import { type Flow, isAddedUp, joinsAnother } from "./flow.ts";
import { isZero, linearityOf } from "./linear.ts";
import { type Assignment, dimsOf, factorAxes, names, type NodeRule } from "../sharding/node_rule.ts";
import { bytesSent, latencyBytes, reshardCost } from "../sharding/reshard.ts";
import { axisSize, type MeshShape, partsOf, type Sharding } from "../sharding/sharding.ts";
import { costOf, homeOf, localBytes, type Value } from "./values.ts";

/** What a node does on each device. */
export interface Choice {
  /** How each operand must be sharded. */
  readonly operands: readonly Sharding[];
  /** How each result comes out. */
  readonly results: readonly Sharding[];
  /** Per result, the mesh axes over which it is partial because a sharded axis is summed over. */
  readonly summed: readonly (readonly string[])[];
  /** How each result is sharded from then on. */
  readonly settled: readonly Sharding[];
}

/** Ops that are worth splitting even where their operands are not: the rest costs little to compute twice. */
const heavy: ReadonlySet<OpName> = new Set<OpName>(["einsum", "attention", "attentionGrad"]);

/** No node has more choices than this, however many axes a mesh has. */
const maxChoices = 512;

/** Per mesh axis, the operands that stay partial over it; mesh axes over which everything is reduced first are absent. */
type Waiting = ReadonlyMap<string, readonly number[]>;

/** Over which mesh axes the partial operands of a node are not reduced yet. */
function waitingOf(node: GraphNode, values: readonly Value[], mesh: MeshShape, flow: Flow): Waiting {
  const found = new Map<string, readonly number[]>();
  const linearity = linearityOf(node);
  if (linearity === null) return found;
  const partialOver = (i: number, name: string) => {
    const value = values[i]!;
    const isPartial = homeOf(value)?.partial.includes(name) ?? false;
    return isPartial && !isAddedUp(value.tensor, name, flow) &&
      !value.forms.some(({ sharding }) => !sharding.partial.includes(name));
  };
  for (const { name } of mesh.axes) {
    const partial = linearity.operands.filter((i) => partialOver(i, name));
    if (partial.length === 0) continue;
    const others = linearity.operands.filter((i) => !partial.includes(i));
    if (linearity.kind === "together") {
      if (!others.every((i) => values[i]!.isFree && isZero(values[i]!.tensor))) continue;
      found.set(name, linearity.operands);
      continue;
    }
    if (partial.length > 1) continue;
    const elsewhere = node.operands.some((_, i) => homeOf(values[i]!)?.dims.some((own) => own.includes(name)));
    if (!elsewhere && paysToWait(node, values[partial[0]!]!, name, mesh, flow)) found.set(name, partial);
  }
  return found;
}

/** Tells whether reducing the result of a node instead of its operand sends no more. */
function paysToWait(node: GraphNode, operand: Value, name: string, mesh: MeshShape, flow: Flow): boolean {
  const before = localBytes(operand.tensor.type, homeOf(operand)!, mesh);
  const dims = flow.advice.get(node.results[0]!)?.dims ?? [];
  const after = localBytes(node.results[0]!.type, { dims, partial: [] }, mesh);
  if (after <= before || node.results.some((result) => joinsAnother(result, name, flow))) return true;
  if (node.op !== "einsum") return false;
  // The result may share its all-reduce with others, as gradients do.
  const n = axisSize(mesh, name);
  return bytesSent.allReduce(after, n) <= bytesSent.allReduce(before, n) + latencyBytes;
}

/** The best way to split a node. */
export function choose(
  node: GraphNode,
  rule: NodeRule,
  values: readonly Value[],
  advice: readonly (Sharding | undefined)[],
  mesh: MeshShape,
  flow: Flow,
): Choice {
  const waiting = waitingOf(node, values, mesh, flow);
  const given = values.flatMap((value, i) => {
    const homes = value.isFree ? [] : value.forms.map(({ sharding }) => sharding);
    return homes.map((home) => factorAxes(home.dims, rule.operands[i]!, rule, mesh));
  });
  const advised = advice.flatMap((sharding, i) =>
    sharding === undefined ? [] : [factorAxes(sharding.dims, rule.results[i]!, rule, mesh)]
  );
  const all = candidatesOf([...given, ...advised], waiting, mesh);
  if (all.length === 0) return choiceOf(new Map(), node, rule, waiting, mesh)!;
  const free = all.map((picks) => picks.filter((pick) => isFreePick(pick, values, rule, mesh)));
  const narrowed = all.map((picks, i) => free[i]!.length === 0 ? picks : free[i]!);
  const splits = [...given, ...advised];
  // What is free for each mesh axis by itself may not go together.
  return bestOf(narrowed, splits, node, rule, waiting, values, advice, mesh) ??
    bestOf(all, splits, node, rule, waiting, values, advice, mesh)!;
}

/** The cheapest combination of picks; `null` when none of them is possible. */
function bestOf(
  candidates: readonly (readonly Pick[])[],
  known: readonly Assignment[],
  node: GraphNode,
  rule: NodeRule,
  waiting: Waiting,
  values: readonly Value[],
  advice: readonly (Sharding | undefined)[],
  mesh: MeshShape,
): Choice | null {
  const isHeavy = heavy.has(node.op);
  let best: { choice: Choice; cost: number; splits: number } | null = null;
  for (const picks of combinations(candidates)) {
    const choice = choiceOf(assignmentOf(picks, known, mesh), node, rule, waiting, mesh);
    if (choice === null) continue;
    let cost = 0;
    choice.operands.forEach((target, i) => {
      if (values.indexOf(values[i]!) === i) cost += costOf(values[i]!, target, mesh);
    });
    if (!Number.isFinite(cost)) continue;
    const settled = cost === 0 ? choice.settled : choice.results.map((result, i) => settle(result, advice[i]));
    if (cost > 0) {
      settled.forEach((target, i) => {
        const { type } = node.results[i]!;
        const summed = { dims: target.dims, partial: [] };
        cost += reshardCost(type, choice.results[i]!, target, mesh) + reshardCost(type, target, summed, mesh);
      });
    }
    const splits = picks.filter(({ factor }) => factor !== null).length;
    const isBetter = best === null || cost < best.cost ||
      (cost === best.cost && (isHeavy ? splits > best.splits : splits < best.splits));
    if (isBetter) best = { choice: { ...choice, settled }, cost, splits };
  }
  return best?.choice ?? null;
}

/** Tells whether a pick needs nothing to be sent, as far as its own mesh axis goes. */
function isFreePick({ meshAxis, factor }: Pick, values: readonly Value[], rule: NodeRule, mesh: MeshShape): boolean {
  return values.every(({ isFree, forms }, i) => {
    const axes = rule.operands[i]!;
    return isFree || forms.some(({ sharding: { dims, partial } }) => {
      if (!dims.some((own) => own.includes(meshAxis))) return !partial.includes(meshAxis);
      return factor !== null && (factorAxes(dims, axes, rule, mesh).get(factor)?.includes(meshAxis) ?? false);
    });
  });
}

interface Pick {
  readonly meshAxis: string;
  readonly factor: string | null;
}

/** Per mesh axis that is split or summed somewhere, the factors that it may split; `null` for none. */
function candidatesOf(splits: readonly Assignment[], waiting: Waiting, mesh: MeshShape): Pick[][] {
  return mesh.axes.flatMap(({ name }) => {
    if (waiting.has(name)) return [];
    const factors = new Set<string>();
    for (const split of splits) {
      for (const [factor, meshAxes] of split) if (meshAxes.includes(name)) factors.add(factor);
    }
    return factors.size === 0 ? [] : [[...factors, null].map((factor): Pick => ({ meshAxis: name, factor }))];
  });
}

function* combinations(candidates: readonly (readonly Pick[])[]): Generator<readonly Pick[]> {
  const total = Math.min(maxChoices, candidates.reduce((product, list) => product * list.length, 1));
  for (let i = 0; i < total; i++) {
    let rest = i;
    yield candidates.map((list) => {
      const pick = list[rest % list.length]!;
      rest = Math.floor(rest / list.length);
      return pick;
    });
  }
}

/** The factors with the mesh axes picked for them, in the order in which some tensor has them already. */
function assignmentOf(picks: readonly Pick[], splits: readonly Assignment[], mesh: MeshShape): Assignment {
  const chosen = new Map<string, string[]>();
  for (const { meshAxis, factor } of picks) {
    if (factor !== null) chosen.set(factor, [...chosen.get(factor) ?? [], meshAxis]);
  }
  for (const [factor, meshAxes] of chosen) {
    if (meshAxes.length < 2) continue;
    let longest: readonly string[] = [];
    for (const split of splits) {
      const own = (split.get(factor) ?? []).filter((name) => meshAxes.includes(name));
      if (own.length > longest.length) longest = own;
    }
    const rest = mesh.axes.map(({ name }) => name).filter((name) => meshAxes.includes(name) && !longest.includes(name));
    chosen.set(factor, [...longest, ...rest]);
  }
  return chosen;
}

/** What an assignment means for the operands and results; `null` when it splits one of them in no way that exists. */
function choiceOf(
  assignment: Assignment,
  node: GraphNode,
  rule: NodeRule,
  waiting: Waiting,
  mesh: MeshShape,
): Choice | null {
  for (const [factor, meshAxes] of assignment) {
    if (rule.lengths.get(factor)! % partsOf(mesh, meshAxes) !== 0) return null;
  }
  const operands: Sharding[] = [];
  for (const [i, axes] of rule.operands.entries()) {
    const dims = dimsOf(assignment, axes, rule, mesh);
    if (dims === null) return null;
    const partial = [...waiting].filter(([, waits]) => waits.includes(i)).map(([name]) => name);
    operands.push({ dims, partial });
  }
  const results: Sharding[] = [];
  const summed: string[][] = [];
  const isExtreme = node.op === "max" || node.op === "min";
  for (const [i, axes] of rule.results.entries()) {
    const dims = dimsOf(assignment, axes, rule, mesh);
    if (dims === null) return null;
    const over = [...assignment].filter(([factor]) => !names(axes, factor)).flatMap(([, meshAxes]) => meshAxes);
    // Truth values do not add up.
    if (over.length > 0 && !isExtreme && node.results[i]!.dtype === "bool") return null;
    summed.push(isExtreme ? [] : over);
    results.push({ dims, partial: isExtreme ? [] : [...waiting.keys(), ...over] });
  }
  return { operands, results, summed, settled: results };
}

/** Where a result goes that came out elsewhere than advised because its operands disagreed. */
function settle(result: Sharding, advice: Sharding | undefined): Sharding {
  if (advice === undefined) return result;
  const advised = new Set(advice.dims.flat());
  // What the advice says nothing of may stay as it is.
  const dims = advice.dims.map((own, axis) => {
    const now = result.dims[axis]!;
    return own.length === 0 && now.every((name) => !advised.has(name)) ? now : own;
  });
  const used = new Set(dims.flat());
  return { dims, partial: result.partial.filter((name) => !used.has(name)) };
}
