/** How the programs of attention read tensors by row and by key, and who sees whom. */

import type { AttentionAttrs } from "@tessera/core";
import type { Value } from "../../engine/engine.ts";
import { elementAt } from "../element.ts";
import { mathCode } from "../math.ts";
import { packedCode } from "../packed.ts";
import { literal, type Uniform } from "../program.ts";

/** The operands that every program of attention reads. */
export interface AttentionOperands {
  /** [batch, time, heads, headDim]. */
  readonly query: Value;
  /** [batch, keys, keyHeads, headDim]. */
  readonly key: Value;
  /** Like the key. */
  readonly value: Value;
  /** The first and the last positions that queries see, [batch, time] each, and those of keys [batch, keys], one after the other, flat. */
  readonly positions: Value;
}

/** The lengths of the axes. */
export interface Lengths {
  /** Texts. */
  readonly batch: number;
  /** Queries of a text. */
  readonly time: number;
  /** Heads of queries. */
  readonly heads: number;
  /** Keys of a text. */
  readonly keys: number;
  /** Heads of keys, each shared by equally many of the queries. */
  readonly keyHeads: number;
  /** Elements of a head. */
  readonly headDim: number;
  /**
   * Query rows that share a key head: they are one block, so keys and values are read once for all of them. With as many heads
   * as `group` in it, row `time · group + i` is that query of the i-th.
   */
  readonly rows: number;
}

/** The lengths of the axes of attention's operands. */
export function lengthsOf({ query, key }: AttentionOperands): Lengths {
  const [batch, time, heads, headDim] = query.shape as [number, number, number, number];
  const [, keys, keyHeads] = key.shape as [number, number, number];
  return { batch, time, heads, keys, keyHeads, headDim, rows: heads / keyHeads * time };
}

/** The tensors that are read by row, and by key. */
const axes = { query: "row", out: "row", ct: "row", key: "key", value: "key" } as const;

/** A tensor that is read by row or by key. */
export type Source = keyof typeof axes;

/** What programs read in addition to the positions. `stats` are of rows, [batch, keyHeads, rows, 4]. */
export type Sources = Readonly<Partial<Record<Source | "stats", Value>>>;

/**
 * Lengths that differ between batches, so that one compiled program serves them all. Loops that are as long as `depth` take it
 * from here, too, so that compilers do not write them out.
 */
export function uniformsOf(lengths: Lengths, depth: number): Uniform[] {
  const { batch, time, keys, rows } = lengths;
  const numbers = { depth, batches: batch, time, keys, rows };
  return Object.entries(numbers).map(([name, value]) => ({ name, type: "int32", value }));
}

/**
 * A score so low that its exponential is zero beside any other, as in the definition, and one lower than all, which does not overflow
 * in the other base in which a GPU computes exponentials.
 */
export const [hidden, absent] = [literal(-1e30), literal(-1e38)];

/** WGSL that reads sources, `queryAt(row, d)`, finds the places of rows and keys, and turns four products into scores. */
export function accessCode(lengths: Lengths, sources: Sources, { softCap, scale }: AttentionAttrs): string {
  const { heads, keyHeads, headDim } = lengths;
  const group = heads / keyHeads;
  const read = (name: Source, { dtype }: Value) =>
    `fn ${name}At(line : i32, d : i32) -> f32 { return ${
      elementAt(`${name}Data`, dtype, `(${axes[name]}Start(line) + d)`)
    }; }`;
  const tanh = `vec4<f32>(${[..."xyzw"].map((c) => `safeTanh(x.${c})`).join(", ")})`;
  return `${packedCode}${mathCode}
var<private> batch : i32;
var<private> keyHead : i32;
fn rowStart(row : i32) -> i32 {
  return ((batch * uniforms.time + row / ${group}) * ${heads} + keyHead * ${group} + row % ${group}) * ${headDim};
}
fn keyStart(key : i32) -> i32 { return ((batch * uniforms.keys + key) * ${keyHeads} + keyHead) * ${headDim}; }
${Object.entries(sources).flatMap(([name, value]) => name === "stats" ? [] : [read(name as Source, value)]).join("\n")}
fn statsStart(row : i32) -> i32 { return ((batch * ${keyHeads} + keyHead) * uniforms.rows + row) * 4; }
${sources.stats === undefined ? "" : statsCode}
fn rowFirst(row : i32) -> i32 { return positions[batch * uniforms.time + row / ${group}]; }
fn rowLast(row : i32) -> i32 { return positions[(uniforms.batches + batch) * uniforms.time + row / ${group}]; }
// Hidden keys stand behind all that is seen.
fn keyPlace(key : i32) -> i32 {
  let place = positions[2 * uniforms.batches * uniforms.time + batch * uniforms.keys + key];
  return select(place, ${2 ** 30}, place < 0);
}
fn enter(text : i32, head : i32) {
  batch = text;
  keyHead = head;
}
fn isVisible(first : vec4<i32>, last : vec4<i32>, k : vec4<i32>) -> vec4<bool> { return (first <= k) & (k <= last); }
fn tanhOf(x : vec4<f32>) -> vec4<f32> { return ${tanh}; }
fn scoreOf(product : vec4<f32>) -> vec4<f32> {
  return ${
    softCap === null
      ? `product * ${literal(scale)}`
      : `${literal(softCap)} * tanhOf(product * ${literal(scale / softCap)})`
  };
}
fn masked(score : vec4<f32>, isSeen : vec4<bool>) -> vec4<f32> { return select(min(score, vec4<f32>(${hidden})), score, isSeen); }`;
}

const statsCode = `fn statsOf(row : i32) -> vec4<f32> {
  let at = statsStart(row);
  return vec4<f32>(stats[at], stats[at + 1], stats[at + 2], stats[at + 3]);
}`;
