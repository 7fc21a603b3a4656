/** What the benchmark on WebGPU measures: the lengths of a decoder block, and programs by name. */

/** The lengths of a decoder block. */
export interface BlockShape {
  /** Tokens. */
  readonly time: number;
  /** The hidden size. */
  readonly width: number;
  /** Attention heads. */
  readonly heads: number;
  /** The head dimension. */
  readonly headDim: number;
  /** The intermediate size. */
  readonly hidden: number;
}

/** Small enough for a driver that runs on the processor, and large enough for a GPU. */
export const shapes: Readonly<Record<string, BlockShape>> = {
  small: { time: 128, width: 512, heads: 8, headDim: 64, hidden: 1024 },
  large: { time: 2048, width: 2304, heads: 8, headDim: 256, hidden: 9216 },
};

/** The shapes of the block's input and weights. */
export function blockInputs({ time, width, heads, headDim, hidden }: BlockShape): Readonly<Record<string, number[]>> {
  const inner = heads * headDim;
  return {
    x: [time, width],
    scale1: [width],
    query: [width, inner],
    key: [width, inner],
    value: [width, inner],
    output: [inner, width],
    scale2: [width],
    gate: [width, hidden],
    up: [width, hidden],
    down: [hidden, width],
  };
}

/** Programs by name; each run ends when the GPU has done it. */
export type Cases = Readonly<Record<string, () => Promise<void>>>;
