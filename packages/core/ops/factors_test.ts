/**
 * Checks the factor rules of all ops by brute force: every factor that may be split is split in two, the reference runs
 * on each half, and the two results combined must equal the whole result.
 */
import assert from "node:assert/strict";
import { formatType, sameType, type TensorType } from "../values/dtype.ts";
import { type Attrs, emit } from "../graph/tensor.ts";
import { type Elements, evaluateExactly, toElements } from "../reference/evaluate.ts";
import { allSamples, assertAllClose, type Sample, sampleOperands, samples } from "../testing.ts";
import { trace } from "../graph/trace.ts";
import { type AxisFactors, type Factors, parseFactors } from "./factors.ts";
import { type OpName, opOf, type Ops } from "./table.ts";

/** One operand or result: its axes, and its elements. */
interface Part {
  readonly type: TensorType;
  readonly axes: readonly AxisFactors[];
  readonly data: Elements;
}

/** The attributes after a factor is split: those that hold lengths now hold the lengths of one half. */
const localAttrs: { readonly [K in OpName]?: (attrs: Ops[K]["attrs"], result: TensorType) => Ops[K]["attrs"] } = {
  full: (attrs, { shape }) => ({ ...attrs, shape }),
  iota: (attrs, { shape }) => ({ ...attrs, shape }),
  reshape: (_, { shape }) => ({ shape }),
  broadcastTo: (_, { shape }) => ({ shape }),
  // Only axes that are taken whole are ever split.
  slice: ({ starts, strides }, { shape }) => ({
    starts,
    strides,
    limits: starts.map((start, i) => start + shape[i]! * strides[i]!),
  }),
};

/** One part of a split: which one, of what factor, and whether results are partial because they do not name it. */
interface Split {
  readonly factor: string;
  readonly part: number;
  readonly isPartial: boolean;
}

/** Ops that need more than split operands: what else is done to the operands of one half. */
const adjusted: { readonly [K in OpName]?: (operands: readonly Part[], split: Split) => readonly Part[] } = {
  // A shard of the gathered axis looks up the positions that it holds and gives zeros for the others. With a row of
  // zeros after the shard, that is a gather too.
  gather: ([x, indices], { factor, part, isPartial }) => {
    if (!isPartial) return [x!, indices!];
    const axis = x!.axes.findIndex((names) => names.some(({ name }) => name === factor));
    const held = x!.type.shape[axis]!;
    const zeros = x!.type.shape.map(() => 0);
    const padded = run("pad", [x!], { low: zeros, high: zeros.with(axis, 1), value: 0 });
    const local = indices!.data.map((position) => {
      const own = position - part * held;
      return own >= 0 && own < held ? own : held;
    });
    return [{ ...x!, type: padded.types[0]!, data: padded.data[0]! }, { ...indices!, data: local }];
  },
  // Every shard of the updates is added to the base, which must count once.
  scatterAdd: ([base, indices, updates], { part, isPartial }) => [
    isPartial && part > 0 ? { ...base!, data: base!.data.map(() => 0) } : base!,
    indices!,
    updates!,
  ],
};

function lengthsOf(op: OpName, factors: Factors, operands: readonly TensorType[], results: readonly TensorType[]) {
  const lengths = new Map<string, number>();
  const sides = [...factors.operands.map((axes, i) => [axes, operands[i]!] as const)];
  sides.push(...factors.results.map((axes, i) => [axes, results[i]!] as const));
  // An axis with one factor gives that factor's length; an axis with several gives the length of the one still unknown.
  for (const several of [false, true]) {
    for (const [axes, { shape }] of sides) {
      axes.forEach((names, axis) => {
        const missing = names.filter(({ name }) => !lengths.has(name));
        if (missing.length !== 1 || (names.length > 1) !== several) return;
        const rest = names.reduce((product, { name }) => product * (lengths.get(name) ?? 1), 1);
        lengths.set(missing[0]!.name, shape[axis]! / rest);
      });
    }
  }
  for (const [axes, type] of sides) {
    assert.equal(axes.length, type.shape.length, `${op}: factors name ${axes.length} axes of ${formatType(type)}`);
    axes.forEach((names, axis) => {
      if (names.length === 0) return;
      const product = names.reduce((sum, { name }) => sum * lengths.get(name)!, 1);
      assert.equal(
        product,
        type.shape[axis],
        `${op}: factors of axis ${axis} of ${formatType(type)} multiply to ${product}`,
      );
    });
  }
  return lengths;
}

function isNamed({ axes }: Part, factor: string): boolean {
  return axes.flat().some(({ name }) => name === factor);
}

/** The elements of one half of a factor, or of all of it when no axis names it. */
function half(whole: Part, factor: string, lengths: ReadonlyMap<string, number>, part: number): Part {
  const size = lengths.get(factor)! / 2;
  const shape = whole.type.shape.map((n, axis) => whole.axes[axis]!.some(({ name }) => name === factor) ? n / 2 : n);
  const keep = positions(whole, factor, lengths).map((at) => at < 0 || Math.floor(at / size) === part);
  return { ...whole, type: { ...whole.type, shape }, data: whole.data.filter((_, i) => keep[i]) };
}

/** For each element of a tensor the position along a factor, -1 when it has none. */
function positions({ type, axes }: Part, factor: string, lengths: ReadonlyMap<string, number>): number[] {
  const size = type.shape.reduce((product, n) => product * n, 1);
  return Array.from({ length: size }, (_, element) => {
    let found = -1;
    for (let axis = type.shape.length - 1; axis >= 0; axis--) {
      let index = element % type.shape[axis]!;
      element = (element - index) / type.shape[axis]!;
      for (const { name } of axes[axis]!.toReversed()) {
        const length = lengths.get(name)!;
        if (name === factor) found = index % length;
        index = Math.floor(index / length);
      }
    }
    return found;
  });
}

function run(op: OpName, operands: readonly Part[], attrs: Attrs): { types: TensorType[]; data: Elements[] } {
  const inputs = Object.fromEntries(operands.map(({ type }, i) => [`x${i}`, type]));
  const graph = trace(op, inputs, (symbols) => {
    const results = emit(op, Object.values(symbols), attrs);
    return Object.fromEntries(results.map((result, i) => [`y${i}`, result]));
  });
  return {
    types: graph.outputs.map((output) => output.type),
    data: evaluateExactly(graph, operands.map((operand) => operand.data)),
  };
}

function checkSplit(op: OpName, sample: Sample, factors: Factors, factor: string, whole: readonly Part[]) {
  const attrs = sample.attrs as Attrs;
  const expected = run(op, whole, attrs);
  const lengths = lengthsOf(op, factors, whole.map(({ type }) => type), expected.types);
  const results = expected.data.map((data, i): Part => ({ type: expected.types[i]!, axes: factors.results[i]!, data }));
  const found = [0, 1].map((part) => {
    const wanted = results.map((result) => half(result, factor, lengths, part));
    const split = whole.map((operand) => half(operand, factor, lengths, part));
    const isPartial = !isNamed(results[0]!, factor);
    const local = adjusted[op]?.(split, { factor, part, isPartial }) ?? split;
    const localize = localAttrs[op] as ((attrs: Attrs, result: TensorType) => Attrs) | undefined;
    const got = run(op, local, localize?.(attrs, wanted[0]!.type) ?? attrs);
    wanted.forEach((result, i) => {
      assert.ok(sameType(got.types[i]!, result.type), `result ${i} is ${formatType(got.types[i]!)}`);
    });
    return { wanted, got };
  });
  const [first, second] = found as [(typeof found)[0], (typeof found)[0]];
  results.forEach((result, i) => {
    const close = { absolute: 1e-9, relative: 1e-9 };
    if (isNamed(result, factor)) {
      for (const { wanted, got } of found) assertAllClose(got.data[i]!, wanted[i]!.data, close);
    } else assertAllClose(first.got.data[i]!.map((x, j) => x + second.got.data[i]![j]!), result.data, close);
  });
}

const tried = new Set<OpName>();

for (const { op, sample } of allSamples()) {
  const inputs = sampleOperands(sample, 3);
  const text = opOf(op).factors(inputs, sample.attrs as Attrs);
  if (text === null) continue;
  Deno.test(`factors of ${op}, ${sample.name}: ${text}`, () => {
    const factors = parseFactors(text);
    assert.equal(factors.operands.length, inputs.length, `factors name ${factors.operands.length} operands`);
    const whole = inputs.map((tensor, i): Part => ({
      type: tensor,
      axes: factors.operands[i]!,
      data: toElements(tensor),
    }));
    const { types } = run(op, whole, sample.attrs as Attrs);
    assert.equal(factors.results.length, types.length, `factors name ${factors.results.length} results`);
    const lengths = lengthsOf(op, factors, inputs, types);
    const free = [...factors.operands, ...factors.results].flat(2).filter((factor) => !factor.whole);
    for (const name of new Set(free.map((factor) => factor.name))) {
      if (lengths.get(name)! % 2 !== 0) continue;
      tried.add(op);
      checkSplit(op, sample, factors, name, whole);
    }
  });
}

Deno.test("factors of every op but constants have been split", () => {
  const missing = (Object.keys(samples) as OpName[]).filter((op) => !tried.has(op));
  assert.deepEqual(missing, ["constant"]);
});

Deno.test("parseFactors() reads axes, products, marks and axes of one", () => {
  const factor = (name: string, whole = false) => ({ name, whole });
  assert.deepEqual(parseFactors("b (m !g) 1, -> b, !g"), {
    operands: [[[factor("b")], [factor("m"), factor("g", true)], []], []],
    results: [[[factor("b")]], [[factor("g", true)]]],
  });
  assert.deepEqual(parseFactors("-> a"), { operands: [], results: [[[factor("a")]]] });
  assert.deepEqual(parseFactors(" -> "), { operands: [[]], results: [[]] });
});

Deno.test("parseFactors() says what it cannot read", () => {
  for (
    const [text, what] of [
      ["a b", 'expected operands and results around one "->", such as "a k, k b -> a b"'],
      ["a -> b -> c", 'expected operands and results around one "->", such as "a k, k b -> a b"'],
      ["a 2 -> a", '"2" is not an axis: expected a name, "1", or names in parentheses'],
      ["(a b -> a", '"(" is not an axis: expected a name, "1", or names in parentheses'],
      ["!a -> a", '"a" is marked "!" in one place and not in another'],
    ] as const
  ) {
    assert.throws(() => parseFactors(text), {
      name: "SyntaxError",
      message: `Cannot read factors "${text}": ${what}`,
    });
  }
});
