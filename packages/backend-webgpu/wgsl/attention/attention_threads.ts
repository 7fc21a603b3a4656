/**
 * Attention for drivers that run programs on the processor, as in `matmul_blocks.ts`: a thread has a few queries, or a few keys,
 * in variables and goes through all of the others, with a running maximum and sum per query (Dao et al., arXiv 2205.14135).
 * Nothing is shared and nothing waits.
 */

import type { AttentionAttrs } from "@tessera/core";
import type { Value } from "../../engine/engine.ts";
import { absent, type AttentionOperands, hidden, lengthsOf } from "./attention_access.ts";
import type { AttentionGradOperands } from "./attention_grad.ts";
import { mathCode } from "../math.ts";
import { literal, type Program, type ProgramInput } from "../program.ts";

/** The most queries or keys of a thread: what is read is used for all of them. */
const most = 4;

/** Longer heads have more variables than are worth compiling. */
const longestHead = 64;

const range = (count: number) => [...Array(count).keys()];

/** Whether the programs here take these operands. */
export function fitsThreads(operands: readonly Value[]): boolean {
  const headDim = operands[0]!.shape[3]!;
  return headDim % 4 === 0 && headDim <= longestHead && operands.every(({ dtype }) => dtype === "float32");
}

/** The inputs with elements: read in fours. */
function floats(values: Readonly<Record<string, Value>>): ProgramInput[] {
  return Object.entries(values).map(([name, value]) => ({ name, value, vectors: true }));
}

/** WGSL for each of a thread's rows. */
const each = (rows: number, code: (row: number) => string) => range(rows).map(code).join("\n    ");

interface ThreadProgram {
  readonly name: string;
  readonly operands: AttentionOperands;
  readonly attrs: AttentionAttrs;
  readonly inputs: readonly ProgramInput[];
  readonly shape: readonly number[];
  /** Whether a thread has queries or keys. */
  readonly of: "queries" | "keys";
  /** Statements, given how many rows a thread has and how many vectors an element of a head takes. */
  readonly code: (rows: number, vectors: number) => string;
}

/** A program whose threads each have a few neighboring queries or keys: `at0`, `at1` … are where these begin. */
function threadProgram({ name, operands, attrs, inputs, shape, of, code }: ThreadProgram): Program {
  const { batch, time, heads, keys, keyHeads, headDim } = lengthsOf(operands);
  const [count, own] = of === "queries" ? [time, heads] : [keys, keyHeads];
  const rows = Math.min(most, count);
  const blocks = Math.ceil(count / rows);
  const length = of === "queries" ? "uniforms.time" : "uniforms.keys";
  const vectors = headDim / 4;
  const numbers = { batches: batch, time, keys, blocks };
  const { softCap, scale } = attrs;
  return {
    name: `${name} by threads`,
    inputs: [...inputs, { name: "positions", value: operands.positions }],
    output: { dtype: "float32", shape },
    writesVectors: true,
    threads: blocks * own * batch,
    groupSize: [32, 1, 1],
    uniforms: Object.entries(numbers).map(([key, value]) => ({ name: key, type: "int32", value })),
    code: `${mathCode}
fn isVisible(first : i32, last : i32, k : i32) -> bool { return k >= 0 && first <= k && k <= last; }
// tanh(score / softCap), where there is a cap.
fn bounded(product : f32) -> f32 {
  return ${softCap === null ? "0.0" : `safeTanh(product * ${literal(scale / softCap)})`};
}
fn masked(product : f32, bound : f32, visible : bool) -> f32 {
  let score = ${softCap === null ? `product * ${literal(scale)}` : `bound * ${literal(softCap)}`};
  return select(min(score, ${hidden}), score, visible);
}
fn slopeOf(bound : f32) -> f32 { return ${softCap === null ? "" : "(1.0 - bound * bound) * "}${literal(scale)}; }
fn main(index : i32) {
  let block = index % uniforms.blocks;
  let head = (index / uniforms.blocks) % ${own};
  let batch = index / uniforms.blocks / ${own};
  if (batch >= uniforms.batches) { return; }
  let firsts = batch * uniforms.time;
  let lasts = (uniforms.batches + batch) * uniforms.time;
  let keyPositions = 2 * uniforms.batches * uniforms.time + batch * uniforms.keys;
  ${
      each(rows, (r) =>
        `let row${r} = min(block * ${rows} + ${r}, ${length} - 1);
    let at${r} = ((batch * ${length} + row${r}) * ${own} + head) * ${vectors};
    let first${r} = positions[${of === "queries" ? "firsts" : "keyPositions"} + row${r}];
    let last${r} = positions[${of === "queries" ? "lasts" : "keyPositions"} + row${r}];`)
    }
  ${code(rows, vectors)}
}`,
  };
}

/** WGSL that reads the rows of a thread from an input. */
const load = (rows: number, vectors: number, short: string, name: string) =>
  each(rows, (r) => range(vectors).map((v) => `let ${short}${r}_${v} = ${name}[at${r} + ${v}];`).join(" "));

/** WGSL for variables that begin at zero. */
const zeros = (rows: number, vectors: number, name: string) =>
  each(rows, (r) => range(vectors).map((v) => `var ${name}${r}_${v} = vec4<f32>(0.0);`).join(" "));

/** WGSL for the products of a thread's rows and one vector. */
const products = (rows: number, vectors: number, into: string, left: string, right: string) =>
  each(
    rows,
    (r) => `let ${into}${r} = ${range(vectors).map((v) => `dot(${left}${r}_${v}, ${right}${v})`).join(" + ")};`,
  );

/** WGSL that reads one vector. */
const loadOne = (vectors: number, short: string, name: string, at: string) =>
  range(vectors).map((v) => `let ${short}${v} = ${name}[${at} + ${v}];`).join(" ");

/** WGSL that writes the rows of a thread. */
const store = (rows: number, vectors: number, count: string, value: (r: number, v: number) => string, offset = "") =>
  each(
    rows,
    (r) =>
      `if (block * ${rows} + ${r} < ${count}) { ${
        range(vectors).map((v) => `result[at${r} + ${v}${offset}] = ${value(r, v)};`).join(" ")
      } }`,
  );

/** WGSL that goes through the keys of a query's head. */
const eachKey = (keyHeads: number, group: number, vectors: number, body: string) =>
  `for (var key = 0; key < uniforms.keys; key++) {
    let keyAt = ((batch * uniforms.keys + key) * ${keyHeads} + head / ${group}) * ${vectors};
    let place = positions[keyPositions + key];
    ${body}
  }`;

/** WGSL for the masked scores of a thread's queries and one key. */
const scores = (rows: number) =>
  each(rows, (r) =>
    `let visible${r} = isVisible(first${r}, last${r}, place);
    let bound${r} = bounded(product${r});
    let score${r} = masked(product${r}, bound${r}, visible${r});`);

/** The program of attention. */
export function attentionByThreads(operands: AttentionOperands, attrs: AttentionAttrs): Program {
  const { heads, keyHeads } = lengthsOf(operands);
  return threadProgram({
    name: "attention",
    operands,
    attrs,
    of: "queries",
    inputs: floats({ query: operands.query, keys: operands.key, values: operands.value }),
    shape: operands.query.shape,
    code: (rows, vectors) =>
      `${load(rows, vectors, "q", "query")}
  ${zeros(rows, vectors, "sum")}
  ${each(rows, (r) => `var largest${r} = ${absent}; var total${r} = 0.0;`)}
  ${
        eachKey(
          keyHeads,
          heads / keyHeads,
          vectors,
          `${loadOne(vectors, "k", "keys", "keyAt")}
    ${products(rows, vectors, "product", "q", "k")}
    ${scores(rows)}
    ${
            each(rows, (r) =>
              `let more${r} = max(largest${r}, score${r});
    let decay${r} = exp(largest${r} - more${r});
    let weight${r} = exp(score${r} - more${r});
    total${r} = total${r} * decay${r} + weight${r};
    largest${r} = more${r};`)
          }
    ${loadOne(vectors, "v", "values", "keyAt")}
    ${
            each(rows, (r) =>
              range(vectors).map((v) => `sum${r}_${v} = sum${r}_${v} * decay${r} + v${v} * weight${r};`).join(" "))
          }`,
        )
      }
  ${
        store(rows, vectors, "uniforms.time", (r, v) => `sum${r}_${v} / total${r}`)
      }`,
  });
}

/**
 * What the backward pass needs of each query, [batch, time, heads, 4]: the largest score, one over the sum of exponentials, the sum
 * of the result times its cotangent, and whether it sees any key.
 */
export function statsByThreads(operands: AttentionGradOperands, attrs: AttentionAttrs): Program {
  const { batch, time, heads, keyHeads } = lengthsOf(operands);
  return threadProgram({
    name: "attention stats",
    operands,
    attrs,
    of: "queries",
    inputs: floats({ query: operands.query, keys: operands.key, outs: operands.out, ct: operands.ct }),
    shape: [batch, time, heads, 4],
    code: (rows, vectors) =>
      `${load(rows, vectors, "q", "query")}
  ${each(rows, (r) => `var largest${r} = ${absent}; var total${r} = 0.0; var sees${r} = 0.0;`)}
  ${
        eachKey(
          keyHeads,
          heads / keyHeads,
          vectors,
          `${loadOne(vectors, "k", "keys", "keyAt")}
    ${products(rows, vectors, "product", "q", "k")}
    ${scores(rows)}
    ${
            each(rows, (r) =>
              `let more${r} = max(largest${r}, score${r});
    total${r} = total${r} * exp(largest${r} - more${r}) + exp(score${r} - more${r});
    largest${r} = more${r};
    sees${r} = select(sees${r}, 1.0, visible${r});`)
          }`,
        )
      }
  ${
        each(rows, (r) =>
          `if (block * ${rows} + ${r} < uniforms.time) {
      let inner = ${range(vectors).map((v) => `dot(outs[at${r} + ${v}], ct[at${r} + ${v}])`).join(" + ")};
      result[at${r} / ${vectors}] = vec4<f32>(largest${r}, 1.0 / total${r}, inner, sees${r});
    }`)
      }`,
  });
}

/** The gradient for the queries. */
export function queryGradByThreads(operands: AttentionGradOperands, stats: Value, attrs: AttentionAttrs): Program {
  const { heads, keyHeads } = lengthsOf(operands);
  const { query, key, value, ct } = operands;
  return threadProgram({
    name: "attention query gradient",
    operands,
    attrs,
    of: "queries",
    inputs: floats({ query, keys: key, values: value, ct, stats }),
    shape: query.shape,
    code: (rows, vectors) =>
      `${load(rows, vectors, "q", "query")}
  ${load(rows, vectors, "c", "ct")}
  ${zeros(rows, vectors, "sum")}
  ${each(rows, (r) => `let stats${r} = stats[at${r} / ${vectors}];`)}
  ${
        eachKey(
          keyHeads,
          heads / keyHeads,
          vectors,
          `${loadOne(vectors, "k", "keys", "keyAt")}
    ${products(rows, vectors, "product", "q", "k")}
    ${loadOne(vectors, "v", "values", "keyAt")}
    ${products(rows, vectors, "dweight", "c", "v")}
    ${scores(rows)}
    ${
            each(rows, (r) =>
              `let weight${r} = exp(score${r} - stats${r}.x) * stats${r}.y;
    let slope${r} = weight${r} * (dweight${r} - stats${r}.z) * stats${r}.w * slopeOf(bound${r});
    ${range(vectors).map((v) => `sum${r}_${v} += k${v} * slope${r};`).join(" ")}`)
          }`,
        )
      }
  ${store(rows, vectors, "uniforms.time", (r, v) => `sum${r}_${v}`)}`,
  });
}

/** The gradients for the keys and for the values, one after the other: [2, batch, keys, keyHeads, headDim]. */
export function keyGradsByThreads(operands: AttentionGradOperands, stats: Value, attrs: AttentionAttrs): Program {
  const { heads, keyHeads } = lengthsOf(operands);
  const { query, key, value, ct } = operands;
  const group = heads / keyHeads;
  return threadProgram({
    name: "attention key and value gradients",
    operands,
    attrs,
    of: "keys",
    inputs: floats({ query, keys: key, values: value, ct, stats }),
    shape: [2, ...key.shape],
    code: (rows, vectors) =>
      `${load(rows, vectors, "k", "keys")}
  ${load(rows, vectors, "v", "values")}
  ${zeros(rows, vectors, "dkey")}
  ${zeros(rows, vectors, "dvalue")}
  for (var member = 0; member < ${group}; member++) {
  for (var time = 0; time < uniforms.time; time++) {
    let queryRow = (batch * uniforms.time + time) * ${heads} + head * ${group} + member;
    let first = positions[firsts + time];
    let last = positions[lasts + time];
    let row = stats[queryRow];
    ${loadOne(vectors, "q", "query", `queryRow * ${vectors}`)}
    ${products(rows, vectors, "product", "k", "q")}
    ${loadOne(vectors, "c", "ct", `queryRow * ${vectors}`)}
    ${products(rows, vectors, "dweight", "v", "c")}
    ${
        each(rows, (r) =>
          `let bound${r} = bounded(product${r});
    let weight${r} = exp(masked(product${r}, bound${r}, isVisible(first, last, first${r})) - row.x) * row.y;
    let slope${r} = weight${r} * (dweight${r} - row.z) * row.w * slopeOf(bound${r});
    ${
            range(vectors).map((v) => `dkey${r}_${v} += q${v} * slope${r}; dvalue${r}_${v} += c${v} * weight${r};`)
              .join(
                " ",
              )
          }`)
      }
  }
  }
  let half = uniforms.batches * uniforms.keys * ${keyHeads * vectors};
  ${store(rows, vectors, "uniforms.keys", (r, v) => `dkey${r}_${v}`)}
  ${store(rows, vectors, "uniforms.keys", (r, v) => `dvalue${r}_${v}`, " + half")}`,
  });
}
