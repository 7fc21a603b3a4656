/**
 * The two ways to factor a kernel's update into A · B.
 *
 * `"keras"` factors the last axis of the kernel only: for a query kernel [heads, hidden, headDim], A is [heads, hidden, rank]
 * and B is [rank, headDim]. `"peft"` sees the kernel as a matrix from all input axes to all output axes: A is [hidden, rank], B is
 * [rank, heads, headDim]. A PEFT adapter file can hold the second kind only.
 */
import { einsum, parseEinsum, type Tensor } from "@tessera/core";
import {
  type Adapter,
  type EinsumDense,
  heUniform,
  type Initializer,
  kaimingUniform,
  Variable,
  zeros,
} from "@tessera/nn";

/** Which axes of the kernel each factor has. */
export type LoraLayout = "keras" | "peft";

/** A low-rank update of a dense layer: `alpha / rank` · x · A · B is added to its output. An A that layers share is the first's. */
export interface LoraAdapter extends Adapter {
  /** Marks the kind of adapter. */
  readonly kind: "lora";
  /** Which axes of the kernel each factor has. */
  readonly layout: LoraLayout;
  /** The number of columns of A. */
  readonly rank: number;
  /** The scale of the update, times the rank. */
  readonly alpha: number;
  /** The factor that the input meets first. */
  readonly a: Variable;
  /** The factor that starts at zero, so that training starts from the model as it is. */
  readonly b: Variable;
  /** The update of the kernel itself, in the kernel's logical shape, in float32: for merging only. */
  readonly delta: () => Tensor;
}

/** The einsum letters of a layer and of its two factors. */
interface Letters {
  readonly x: string;
  readonly kernel: string;
  readonly a: string;
  readonly b: string;
  /** The letters of x · A. */
  readonly middle: string;
  readonly out: string;
}

/** The letter of the rank, which no equation of ours uses. */
const r = "z";

function lettersOf(layout: LoraLayout, equation: string): Letters {
  const { a: x, b: kernel, out } = parseEinsum(equation);
  const inputs = [...kernel].filter((letter) => !out.includes(letter)).join("");
  const outputs = [...kernel].filter((letter) => out.includes(letter)).join("");
  const [last, rest] = [kernel.slice(-1), kernel.slice(0, -1)];
  const a = layout === "keras" ? rest + r : inputs + r;
  const b = layout === "keras" ? r + last : r + outputs;
  // What is left of x and A once they met: axes that A sums go, and the rank comes where the sum or the split axis was.
  const met = [...new Set(x + a)].filter((letter) => letter !== r && (out.includes(letter) || b.includes(letter)));
  const batch = met.filter((letter) => x.includes(letter) && !kernel.includes(letter));
  return {
    x,
    kernel,
    a,
    b,
    middle: [...batch, ...met.filter((letter) => !batch.includes(letter) && !b.includes(letter)), r].join(""),
    out,
  };
}

/** The adapter of Keras's `enable_lora`. */
export function keras(layer: EinsumDense, rank: number, alpha: number): LoraAdapter {
  const { shape } = layer.kernel;
  const a = [...shape.slice(0, -1), rank];
  // Keras counts an input of every axis but the last of A.
  const fanIn = a.slice(0, -1).reduce((product, length) => product * length, 1);
  return make(layer, "keras", rank, alpha, {
    a: { shape: a, order: a.map((_, i) => i), initializer: heUniform(fanIn) },
    b: { shape: [rank, shape.at(-1)!], order: [0, 1] },
  });
}

/**
 * The adapter of PEFT's `LoraConfig`, its factors stored as the adapter file has them: [rank, in] and [out, rank]. Layers that are
 * one tensor in checkpoints are one layer to PEFT: each takes the A of the first as `shared`, and their B lie one below the other
 * in the file.
 */
export function peft(layer: EinsumDense, rank: number, alpha: number, shared?: Variable): LoraAdapter {
  const letters = lettersOf("peft", layer.equation);
  const length = (letter: string) => layer.kernel.shape[letters.kernel.indexOf(letter)]!;
  const a = [...letters.a.slice(0, -1)].map(length);
  const b = [...letters.b.slice(1)].map(length);
  const fanIn = a.reduce((product, n) => product * n, 1);
  // The checkpoint's axis order of the kernel: outputs first, each group as the kernel is stored.
  return make(layer, "peft", rank, alpha, {
    a: { shape: [...a, rank], order: [a.length, ...a.keys()], initializer: kaimingUniform(fanIn) },
    b: { shape: [rank, ...b], order: [...b.map((_, i) => i + 1), 0] },
  }, shared);
}

function make(
  layer: EinsumDense,
  layout: LoraLayout,
  rank: number,
  alpha: number,
  factors: {
    readonly a: {
      readonly shape: readonly number[];
      readonly order: readonly number[];
      readonly initializer: Initializer;
    };
    readonly b: { readonly shape: readonly number[]; readonly order: readonly number[] };
  },
  shared?: Variable,
): LoraAdapter {
  const letters = lettersOf(layout, layer.equation);
  // Split like the kernel, x · A · B adds to x · kernel where that is; replicated over batches, no device has to gather a factor.
  const follows = (own: string) => ({
    variable: layer.kernel,
    axes: [...own].map((letter) => letter === r ? null : letters.kernel.indexOf(letter)),
    spareBatchAxes: true,
  });
  const pathOfA = layout === "peft" ? layer.fused ?? layer.path : layer.path;
  const a = shared ?? new Variable(`${pathOfA}/lora_kernel_a`, { ...factors.a, follows: follows(letters.a) });
  const b = new Variable(`${layer.path}/lora_kernel_b`, {
    ...factors.b,
    initializer: zeros(),
    follows: follows(letters.b),
  });
  const scale = alpha / rank;
  const scaled = (x: Tensor) => scale === 1 ? x : x.mul(scale);
  return {
    kind: "lora",
    layout,
    rank,
    alpha,
    a,
    b,
    variables: shared === undefined ? [a, b] : [b],
    apply: (x) => {
      const middle = einsum(`${letters.x},${letters.a}->${letters.middle}`, x, a.read(x.dtype));
      return einsum(`${letters.middle},${letters.b}->${letters.out}`, scaled(middle), b.read(x.dtype));
    },
    delta: () => scaled(einsum(`${letters.a},${letters.b}->${letters.kernel}`, a.read(), b.read())),
  };
}
