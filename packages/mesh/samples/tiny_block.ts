/** A decoder block in the manner of Gemma 2, traced by hand with core's ops: what the tests of the compiler share. */
import {
  attention,
  constant,
  crossEntropy,
  einsum,
  gelu,
  gradients,
  type Graph,
  graphInput,
  iota,
  parseEinsum,
  rmsNorm,
  rotaryEmbedding,
  type Tensor,
  trace,
} from "@tessera/core";
import type { Sharding } from "../sharding/sharding.ts";

/** The sizes of a tiny model. */
export interface BlockSizes {
  /** Rows of a batch. */
  readonly batch: number;
  /** Tokens of a row. */
  readonly time: number;
  /** The hidden size. */
  readonly hidden: number;
  /** Query heads. */
  readonly heads: number;
  /** Key and value heads. */
  readonly keyHeads: number;
  /** The head dimension. */
  readonly headDim: number;
  /** The width of the feed-forward layer. */
  readonly wide: number;
  /** The number of tokens that there are. */
  readonly vocabulary: number;
  /** How many blocks. */
  readonly layers: number;
}

/** Small, and even wherever a mesh axis may split. */
export const tiny: BlockSizes = {
  batch: 4,
  time: 2,
  hidden: 8,
  heads: 4,
  keyHeads: 2,
  headDim: 2,
  wide: 8,
  vocabulary: 8,
  layers: 1,
};

/** Which low-rank factors a kernel has: none, Keras's two small kernels on the query and value, or PEFT's matrices. */
export type Adapter = "none" | "keras" | "peft";

/** What is traced. */
export interface BlockOptions {
  /** Sizes other than `tiny`'s. */
  readonly sizes?: Partial<BlockSizes>;
  /** Low-rank factors, which are then all that is trained. */
  readonly adapter?: Adapter;
  /** Whether the graph also gives the gradients of what is trained, instead of the loss only. */
  readonly training?: boolean;
  /** Whether the hidden states go in and out as they are, without embedding and loss. */
  readonly bare?: boolean;
}

/** A graph and its inputs by name. */
export interface Block {
  /** The graph. */
  readonly graph: Graph;
  /** The inputs. */
  readonly inputs: ReadonlyMap<string, Tensor>;
  /** The names of the trained inputs, in the order of the gradients. */
  readonly trained: readonly string[];
}

const rank = 2;

/** Traces a tiny model. */
export function traceBlock(options: BlockOptions = {}): Block {
  const { adapter = "none", training = true, bare = false } = options;
  const s = { ...tiny, ...options.sizes };
  const inputs = new Map<string, Tensor>();
  const weights: string[] = [];
  const factors: string[] = [];
  const input = (name: string, shape: readonly number[], dtype: "float32" | "int32" = "float32") => {
    const tensor = graphInput(name, { shape, dtype });
    inputs.set(name, tensor);
    return tensor;
  };
  const weight = (name: string, ...shape: number[]) => {
    weights.push(name);
    return input(name, shape);
  };
  const factor = (name: string, ...shape: number[]) => {
    factors.push(name);
    return input(name, shape);
  };
  /** x·W, plus x·A·B where the kernel has factors; `spec` is that of the kernel. */
  const project = (name: string, spec: string, x: Tensor, shape: number[], adapted: boolean): Tensor => {
    const base = einsum(spec, x, weight(`${name}/kernel`, ...shape));
    if (adapter === "none" || (adapter === "keras" && !adapted)) return base;
    const { a: own, b: kernel, out } = parseEinsum(spec);
    // Keras factors the last axis of the kernel only; PEFT sees a matrix from its inputs to its outputs.
    const inputsOf = adapter === "keras" ? kernel.slice(0, -1) : [...kernel].filter((l) => own.includes(l)).join("");
    const outputsOf = [...kernel].filter((letter) => !inputsOf.includes(letter)).join("");
    const lengthOf = (letter: string) => shape[kernel.indexOf(letter)]!;
    const a = factor(`${name}/a`, ...[...inputsOf].map(lengthOf), rank);
    const b = factor(`${name}/b`, rank, ...[...outputsOf].map(lengthOf));
    const middle = [...new Set(own + inputsOf)].filter((l) => !own.includes(l) || !kernel.includes(l)).join("");
    const low = einsum(`${own},${inputsOf}r->${middle}r`, x, a);
    return base.add(einsum(`${middle}r,r${outputsOf}->${out}`, low, b).mul(0.5));
  };
  let graph: Graph | null = null;
  graph = trace("block", {}, () => {
    const tokens = bare ? null : input("tokens", [s.batch, s.time], "int32");
    const labels = bare ? null : input("labels", [s.batch, s.time], "int32");
    const mask = bare ? null : input("mask", [s.batch, s.time]);
    const embedding = bare ? null : weight("embedding", s.vocabulary, s.hidden);
    let x = bare ? input("x", [s.batch, s.time, s.hidden]) : embedding!.gather(tokens!).mul(Math.sqrt(s.hidden));
    const positions = iota([s.batch, s.time], 1);
    const frequencies = constant(Array.from({ length: s.headDim / 2 }, (_, i) => 0.1 ** i), [s.headDim / 2]);
    const norm = (name: string, h: Tensor) => rmsNorm(h, weight(name, s.hidden), { epsilon: 1e-6, offset: 1 });
    for (let layer = 0; layer < s.layers; layer++) {
      const at = `block_${layer}`;
      const h = norm(`${at}/norm_1`, x);
      const query = project(`${at}/query`, "btd,ndh->btnh", h, [s.heads, s.hidden, s.headDim], true);
      const key = project(`${at}/key`, "btd,ndh->btnh", h, [s.keyHeads, s.hidden, s.headDim], false);
      const value = project(`${at}/value`, "btd,ndh->btnh", h, [s.keyHeads, s.hidden, s.headDim], true);
      const mixed = attention({
        query: rotaryEmbedding(query, positions, frequencies),
        key: rotaryEmbedding(key, positions, frequencies),
        value,
        queryPositions: positions,
        keyPositions: positions,
      }, { scale: 0.5, softCap: 5, window: null });
      const out = project(`${at}/output`, "btnh,nhd->btd", mixed, [s.heads, s.headDim, s.hidden], false);
      x = x.add(norm(`${at}/norm_2`, out));
      const wide = norm(`${at}/norm_3`, x);
      const gate = project(`${at}/gate`, "btd,df->btf", wide, [s.hidden, s.wide], false);
      const up = project(`${at}/up`, "btd,df->btf", wide, [s.hidden, s.wide], false);
      const down = project(`${at}/down`, "btf,fd->btd", gelu(gate).mul(up), [s.wide, s.hidden], false);
      x = x.add(norm(`${at}/norm_4`, down));
    }
    const trained = adapter === "none" ? weights : factors;
    if (bare) {
      if (!training) return { x };
      const found = gradients(x.mul(input("ct", [s.batch, s.time, s.hidden])).sum(), [
        inputs.get("x")!,
        ...trained.map((name) => inputs.get(name)!),
      ]);
      return Object.fromEntries([["x", x], ...found.map((gradient, i) => [`d${i}`, gradient])]);
    }
    const logits = einsum("btd,vd->btv", norm("final_norm", x), embedding!).mul(1 / 30).tanh().mul(30);
    const losses = crossEntropy(logits, labels!).mul(mask!);
    const loss = losses.sum().div(mask!.sum());
    if (!training) return { loss };
    const found = gradients(loss, trained.map((name) => inputs.get(name)!));
    return Object.fromEntries([["loss", loss], ...trained.map((name, i) => [`d ${name}`, found[i]!])]);
  });
  return { graph, inputs, trained: adapter === "none" ? weights : factors };
}

/** How the kernels of a block are split as Megatron does it, by the end of their names; `null` is not sharded. */
const megatron: readonly (readonly [RegExp, readonly (string | null)[]])[] = [
  [/(query|key|value)\/kernel$/, ["model", null, null]],
  [/(query|value)\/a$/, ["model", null, null]],
  [/(query|key|value)\/b$/, [null, "model", null]],
  [/output\/kernel$/, ["model", null, null]],
  [/output\/a$/, ["model", null, null]],
  [/(gate|up)\/kernel$/, [null, "model"]],
  [/(gate|up)\/b$/, [null, "model"]],
  [/down\/(kernel|a)$/, ["model", null]],
  [/^embedding$/, ["model", null]],
  [/^(tokens|labels|mask|x|ct)$/, ["batch"]],
];

/** The shardings of the inputs of a block, and of the gradients, as Megatron does it. */
export function megatronShardings({ inputs }: Block): Map<Tensor, Sharding> {
  return new Map([...inputs].map(([name, tensor]) => {
    const [, spec] = megatron.find(([pattern]) => pattern.test(name)) ?? [null, []];
    // Only Keras's A of a query has the axis of heads, and only PEFT's B.
    const isSplit = spec.length === tensor.rank || spec[0] === "batch";
    const dims = tensor.shape.map((_, axis) => isSplit && spec[axis] ? [spec[axis]] : []);
    return [tensor, { dims, partial: [] }];
  }));
}
