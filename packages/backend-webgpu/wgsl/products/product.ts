/**
 * What the programs of products share: the letters of an einsum's spec in four groups (batch, rows, columns, contracted), each
 * counted by one number, and how far apart the elements of a group stand in the operands and in the result.
 */

import { parseEinsum } from "@tessera/core";
import type { Value } from "../../engine/engine.ts";
import { stridesOf } from "../index_map.ts";
import type { Program, ProgramInput } from "../program.ts";

/** One side of an einsum: its letters and how far apart their elements stand. */
export interface Side {
  /** In the order of the axes. */
  readonly letters: string;
  /** By letter. */
  readonly strides: ReadonlyMap<string, number>;
  /** Where its first element stands. */
  readonly offset: number;
}

/** A factor: its shape, what it is read from, and WGSL for its element where each letter has a place. */
export interface Factor {
  /** Its shape. */
  readonly shape: readonly number[];
  /** What it is read from. */
  readonly inputs: readonly ProgramInput[];
  /** The element, given WGSL for its position and for its place along each axis. */
  readonly element: (at: string, places: readonly string[]) => string;
}

/** The side of a factor. */
export interface FactorSide extends Side {
  /** WGSL for an element. */
  readonly element: Factor["element"];
}

/** The groups of letters, each in the order in which it is counted, and the length of every letter. */
export interface Groups {
  /** In both operands and the result. */
  readonly batch: string;
  /** In the first operand and the result. */
  readonly rows: string;
  /** In the second operand and the result. */
  readonly columns: string;
  /** In both operands only. */
  readonly inner: string;
  /** By letter. */
  readonly lengths: ReadonlyMap<string, number>;
}

/** A share of a product: that of some neighbors along one letter, by which one operand is sliced. */
export interface Share {
  /** The letter. */
  readonly letter: string;
  /** The first of the neighbors. */
  readonly start: number;
  /** How many there are. */
  readonly count: number;
  /** The whole product so far, which nobody else has. */
  readonly into: Value;
}

/** A product: its letters, its factors and its result. */
export interface Product {
  /** Its letters. */
  readonly groups: Groups;
  /** The first factor. */
  readonly a: FactorSide;
  /** The second one. */
  readonly b: FactorSide;
  /** The result. */
  readonly out: Side;
  /** What it reads. */
  readonly inputs: Program["inputs"];
  /** What it writes. */
  readonly output: Program["output"];
  /** Where the result is written, when it is a share. */
  readonly into?: Value;
  /** WGSL that writes an element. */
  readonly write: (at: string, x: string) => string;
  /** WGSL for a product times the scale. */
  readonly scaled: (x: string) => string;
  /** How many numbers a group of letters counts. */
  readonly count: (group: string) => number;
}

/** The side of a tensor, from where a share starts. */
export function sideOf(letters: string, shape: readonly number[], share?: Share): Side {
  const strides = stridesOf(shape);
  const axis = share === undefined ? -1 : letters.indexOf(share.letter);
  // A side that has all of the letter is read or written from where the share starts; a slice is the share.
  const offset = axis >= 0 && shape[axis] !== share!.count ? share!.start * strides[axis]! : 0;
  return { letters, strides: new Map([...letters].map((letter, i) => [letter, strides[i]!])), offset };
}

/** The groups of a spec's letters. */
export function groupsOf(spec: string, a: readonly number[], b: readonly number[], share?: Share): Groups {
  const sides = parseEinsum(spec);
  const lengths = new Map([...sides.a].map((letter, axis) => [letter, a[axis]!]));
  [...sides.b].forEach((letter, axis) => lengths.set(letter, b[axis]!));
  if (share !== undefined) lengths.set(share.letter, share.count);
  const keep = (letters: string, wanted: (letter: string) => boolean) => [...letters].filter(wanted).join("");
  return {
    batch: keep(sides.out, (letter) => sides.a.includes(letter) && sides.b.includes(letter)),
    rows: keep(sides.out, (letter) => !sides.b.includes(letter)),
    columns: keep(sides.out, (letter) => !sides.a.includes(letter)),
    inner: keep(sides.b, (letter) => !sides.out.includes(letter)),
    lengths,
  };
}
