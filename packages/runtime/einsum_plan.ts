/**
 * How a two-operand einsum becomes one matrix product.
 *
 * Every letter of a spec belongs to one of four groups: *batch* (in all three sides), *contracted* (in both operands),
 * *left* (first operand and result) or *right* (second operand and result). A matrix product takes operands whose groups
 * are contiguous, in one of a few orders: `batch left contracted` and its relatives. Reading neighboring axes as one is
 * free, so the plan searches the orders of letters within each group, and the two orders of the operands, for the choice
 * that physically transposes the fewest elements. A weight stored in any order that keeps its groups together, such as
 * [heads, headDim, hidden] in "btd,nhd->btnh", is never transposed.
 */

import { parseEinsum } from "@tessera/core";

/** How one operand is read. */
export interface OperandPlan {
  /** The order into which its axes are physically transposed first; `null` when they stay. */
  readonly permutation: readonly number[] | null;
  /** The shape that it is then read in: [rows, columns] without batch axes, else three axes. */
  readonly view: readonly number[];
  /** Whether the matrix is read with rows and columns exchanged. */
  readonly transposed: boolean;
  /** Whether the batch axis stands between the other two instead of before them. */
  readonly batchInside: boolean;
}

/** How an einsum with contracted axes is computed. */
export interface ProductPlan {
  /** The factor whose rows become the rows of the product. */
  readonly first: OperandPlan & { readonly operand: 0 | 1 };
  /** The factor whose columns become the columns of the product. */
  readonly second: OperandPlan & { readonly operand: 0 | 1 };
  /** The shape of the product: [rows, columns] or [batch, rows, columns]. */
  readonly product: readonly number[];
  /** The product's shape with a length per letter, and the order into which its axes are transposed; `null` when they stay. */
  readonly result: { readonly shape: readonly number[]; readonly permutation: readonly number[] } | null;
  /** What the plan costs beside the product, in elements moved; 0 when nothing is transposed. */
  readonly cost: number;
}

/** How an einsum without contracted axes is computed: as a product with broadcasting. */
export interface BroadcastPlan {
  /** Per operand: the axis order to transpose into, and the shape to read it in. */
  readonly operands: readonly { readonly permutation: readonly number[] | null; readonly view: readonly number[] }[];
}

/** The letters of each group. */
interface Groups {
  readonly batch: string;
  readonly contracted: string;
  readonly left: string;
  readonly right: string;
}

/** The plan of an einsum on operands of given shapes; the caller reshapes the operands and the result as it says. */
export function planEinsum(
  spec: string,
  shapes: readonly [readonly number[], readonly number[]],
): { readonly product: ProductPlan } | { readonly broadcast: BroadcastPlan } {
  const sides = parseEinsum(spec);
  const sizes = new Map<string, number>();
  [...sides.a].forEach((letter, axis) => sizes.set(letter, shapes[0][axis]!));
  [...sides.b].forEach((letter, axis) => sizes.set(letter, shapes[1][axis]!));
  // Axes of length one can stand anywhere, so they are left out of the search.
  const strip = (letters: string) => [...letters].filter((letter) => sizes.get(letter) !== 1).join("");
  const [a, b, out] = [strip(sides.a), strip(sides.b), strip(sides.out)];
  const groups: Groups = {
    batch: keep(a, (letter) => b.includes(letter) && out.includes(letter)),
    contracted: keep(a, (letter) => !out.includes(letter)),
    left: keep(a, (letter) => !b.includes(letter)),
    right: keep(b, (letter) => !a.includes(letter)),
  };
  const full = { a: sides.a, b: sides.b };
  if (groups.contracted === "") return { broadcast: planBroadcast(a, b, out, full, sizes) };
  return { product: planProduct(a, b, out, full, groups, sizes) };
}

function keep(letters: string, wanted: (letter: string) => boolean): string {
  return [...letters].filter(wanted).join("");
}

function product(letters: string, sizes: ReadonlyMap<string, number>): number {
  return [...letters].reduce((total, letter) => total * sizes.get(letter)!, 1);
}

/** The axis order that brings `from` (which may have more letters, all of length one) into the order `to`. */
function permutationTo(from: string, to: string): number[] {
  const rest = keep(from, (letter) => !to.includes(letter));
  return [...rest, ...to].map((letter) => from.indexOf(letter));
}

function planBroadcast(
  a: string,
  b: string,
  out: string,
  full: { readonly a: string; readonly b: string },
  sizes: ReadonlyMap<string, number>,
): BroadcastPlan {
  const operand = (letters: string, all: string) => {
    const order = keep(out, (letter) => letters.includes(letter));
    return {
      permutation: order === letters ? null : permutationTo(all, order),
      view: [...out].map((letter) => letters.includes(letter) ? sizes.get(letter)! : 1),
    };
  };
  return { operands: [operand(a, full.a), operand(b, full.b)] };
}

/** The distinct orders in which some sides have the letters of a group. */
function orders(group: string, ...sides: readonly string[]): string[] {
  return [...new Set(sides.map((side) => keep(side, (letter) => group.includes(letter))))];
}

interface Reading {
  readonly order: string;
  readonly transposed: boolean;
  readonly batchInside: boolean;
}

/** The ways in which a factor with these rows and columns can be read without moving it, the plain one first. */
function readings(batch: string, rows: string, columns: string): Reading[] {
  const plain = [
    { order: batch + rows + columns, transposed: false, batchInside: false },
    { order: batch + columns + rows, transposed: true, batchInside: false },
  ];
  if (batch === "") return plain;
  return [
    ...plain,
    { order: rows + batch + columns, transposed: false, batchInside: true },
    { order: columns + batch + rows, transposed: true, batchInside: true },
  ];
}

/** One side of the einsum: its letters, with and without axes of length one, and its length per letter. */
interface Side {
  readonly letters: string;
  readonly full: string;
  readonly sizes: ReadonlyMap<string, number>;
}

/** What moving a side into another axis order costs, in elements: the double where the innermost axis changes. */
function moveCost({ letters, sizes }: Side, order: string): number {
  if (order === letters) return 0;
  return product(letters, sizes) * (order.at(-1) === letters.at(-1) ? 1 : 2);
}

/** What reading a factor in some way costs beside the product, in elements moved. */
function readingCost(side: Side, way: Reading, slowTransposed: boolean): number {
  // A stack of transposed first factors runs a tenth to a fifth slower, which moving half its elements would cost too.
  const slow = way.transposed && slowTransposed ? product(side.letters, side.sizes) / 2 : 0;
  return moveCost(side, way.order) + slow;
}

interface PlannedFactor {
  readonly plan: OperandPlan;
  readonly cost: number;
}

/** How to read a side as a matrix of these rows and columns. */
function planFactor(side: Side, batch: string, rows: string, columns: string, slowTransposed: boolean): PlannedFactor {
  const { letters, full, sizes } = side;
  const ways = readings(batch, rows, columns);
  const costs = ways.map((way) => readingCost(side, way, slowTransposed));
  const cost = Math.min(...costs);
  const { order, transposed, batchInside } = ways[costs.indexOf(cost)]!;
  const [x, y] = (transposed ? [columns, rows] : [rows, columns]).map((group) => product(group, sizes)) as [
    number,
    number,
  ];
  const batches = product(batch, sizes);
  const plan = {
    permutation: order === letters ? null : permutationTo(full, order),
    view: batch === "" ? [x, y] : batchInside ? [x, batches, y] : [batches, x, y],
    transposed,
    batchInside,
  };
  return { plan, cost };
}

function planProduct(
  a: string,
  b: string,
  out: string,
  full: { readonly a: string; readonly b: string },
  groups: Groups,
  sizes: ReadonlyMap<string, number>,
): ProductPlan {
  const sides: readonly [Side, Side] = [{ letters: a, full: full.a, sizes }, { letters: b, full: full.b, sizes }];
  let best: ProductPlan | null = null;
  for (const batch of orders(groups.batch, a, b, out)) {
    for (const contracted of orders(groups.contracted, a, b)) {
      for (const left of orders(groups.left, a, out)) {
        for (const right of orders(groups.right, b, out)) {
          for (const exchanged of [false, true]) {
            const found = planWith(sides, out, { batch, contracted, left, right }, exchanged);
            if (best === null || found.cost < best.cost) best = found;
          }
        }
      }
    }
  }
  return best!;
}

/** The plan for one order of the letters within each group; `exchanged` computes the transposed result. */
function planWith(
  sides: readonly [Side, Side],
  out: string,
  { batch, contracted, left, right }: Groups,
  exchanged: boolean,
): ProductPlan {
  const sizes = sides[0].sizes;
  const [rows, columns] = exchanged ? [right, left] : [left, right];
  const [one, two]: readonly [0 | 1, 0 | 1] = exchanged ? [1, 0] : [0, 1];
  const first = planFactor(sides[one], batch, rows, contracted, batch !== "");
  const second = planFactor(sides[two], batch, contracted, columns, false);
  const order = batch + rows + columns;
  const matrix = [product(rows, sizes), product(columns, sizes)];
  return {
    first: { ...first.plan, operand: one },
    second: { ...second.plan, operand: two },
    product: batch === "" ? matrix : [product(batch, sizes), ...matrix],
    result: order === out ? null : {
      shape: [...order].map((letter) => sizes.get(letter)!),
      permutation: permutationTo(order, out),
    },
    cost: first.cost + second.cost + moveCost({ letters: order, full: order, sizes }, out),
  };
}
