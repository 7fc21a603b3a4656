/**
 * Resizing with antialiasing, to the bit as Pillow does it: a convolution along rows and one along columns, in fixed point.
 *
 * Source of the method: `Resample.c` of Pillow, https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Resample.c.
 */
import type { RgbImage } from "./decode.ts";

/** Fractional bits of a weight: what 32 bits leave beside eight of a pixel and two for overshoot. */
const precision = 22;

/** The cubic kernel with a = -0.5 (Catmull and Rom), zero outside of ±2. */
function cubic(distance: number): number {
  const x = Math.abs(distance);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  if (x < 2) return ((-0.5 * x + 2.5) * x - 4) * x + 2;
  return 0;
}

/** How neighboring pixels are mixed. */
export type Resampling = "bicubic" | "bilinear";

/** The kernels, and how far each reaches. */
const kernels: {
  readonly [Name in Resampling]: { readonly reach: number; readonly at: (distance: number) => number };
} = {
  bicubic: { reach: 2, at: cubic },
  bilinear: { reach: 1, at: (distance) => Math.max(0, 1 - Math.abs(distance)) },
};

/** Which pixels a pixel of the result is made from, and in which proportions, in fixed point. */
interface Window {
  readonly start: number;
  readonly weights: Int32Array;
}

/** The windows along one axis. Where it shrinks, the kernel widens so that no pixel is passed over. */
function windows(from: number, to: number, resampling: Resampling): Window[] {
  const { reach, at } = kernels[resampling];
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  const support = reach * stretch;
  return Array.from({ length: to }, (_, i) => {
    const center = (i + 0.5) * scale;
    const start = Math.max(Math.trunc(center - support + 0.5), 0);
    const end = Math.min(Math.trunc(center + support + 0.5), from);
    const weights = Array.from({ length: end - start }, (_, k) => at((k + start - center + 0.5) / stretch));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    const one = 2 ** precision;
    return { start, weights: Int32Array.from(weights, (w) => Math.trunc(w / sum * one + (w < 0 ? -0.5 : 0.5))) };
  });
}

/**
 * A convolution along one axis of [outer, length, inner] bytes, where `inner` bytes stand between neighbors: 3 along a row,
 * a row's bytes along a column.
 */
function convolve(
  bytes: Uint8Array,
  { length, inner, to, resampling }: {
    readonly length: number;
    readonly inner: number;
    readonly to: number;
    readonly resampling: Resampling;
  },
): Uint8Array {
  const outer = bytes.length / (length * inner);
  const result = new Uint8Array(outer * to * inner);
  const along = windows(length, to, resampling);
  for (let block = 0; block < outer; block++) {
    along.forEach(({ start, weights }, i) => {
      const target = (block * to + i) * inner;
      const source = (block * length + start) * inner;
      for (let byte = 0; byte < inner; byte++) {
        let sum = 1 << (precision - 1);
        for (let k = 0; k < weights.length; k++) sum += bytes[source + k * inner + byte]! * weights[k]!;
        const value = sum >> precision;
        result[target + byte] = value < 0 ? 0 : value > 255 ? 255 : value;
      }
    });
  }
  return result;
}

/** The size that an image is brought to, and how. */
export interface ResizeOptions {
  /** The new width, in pixels. */
  readonly width: number;
  /** The new height, in pixels. */
  readonly height: number;
  /** How neighboring pixels are mixed; bicubic unless given. */
  readonly resampling?: Resampling;
}

/**
 * An image in another size; its sides are stretched independently.
 *
 * @throws {RangeError} when a side is not a positive whole number.
 */
export function resize(image: RgbImage, { width, height, resampling = "bicubic" }: ResizeOptions): RgbImage {
  for (const [side, length] of [["width", width], ["height", height]] as const) {
    if (!Number.isInteger(length) || length < 1) {
      throw new RangeError(`Cannot resize an image: the ${side} must be a positive whole number, found ${length}`);
    }
  }
  return columnsFirst(image, width, height)
    ? resizeRows(resizeColumns(image, height, resampling), width, resampling)
    : resizeColumns(resizeRows(image, width, resampling), height, resampling);
}

/**
 * Whether columns are convolved before rows, which rounds and cuts off in another order. Pillow does so since version 13 where
 * it saves work: columns are cheaper, and what is done second is done on what the first has left.
 */
function columnsFirst(image: RgbImage, width: number, height: number): boolean {
  const [fewerRows, fewerColumns] = [image.height - height, image.width - width];
  return fewerRows > 0 && fewerRows > 2 * fewerColumns;
}

function resizeRows(image: RgbImage, width: number, resampling: Resampling): RgbImage {
  if (width === image.width) return image;
  return {
    width,
    height: image.height,
    pixels: convolve(image.pixels, { length: image.width, inner: 3, to: width, resampling }),
  };
}

function resizeColumns(image: RgbImage, height: number, resampling: Resampling): RgbImage {
  if (height === image.height) return image;
  const along = { length: image.height, inner: 3 * image.width, to: height, resampling };
  return { width: image.width, height, pixels: convolve(image.pixels, along) };
}
