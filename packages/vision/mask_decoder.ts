/**
 * Outlines of PaliGemma as masks: the decoder of its VQ-VAE (arXiv 1711.00937), with the published weights, `vae-oid.npz`.
 *
 * Sixteen codes, each a vector of a codebook on a grid of 4 × 4, become a mask of 64 × 64 in the box of the detection: a 1 × 1
 * convolution, two residual blocks, four transposed convolutions that double the side, and a 1 × 1 convolution.
 * Reference: https://github.com/google-research/big_vision/blob/main/big_vision/evaluators/proj/paligemma/transfers/segmentation.py
 */
import type { Detection } from "./detections.ts";
import { type NpyArray, readNpz } from "./npz.ts";

/** A mask over an image. */
export interface Mask {
  /** The width, in pixels. */
  readonly width: number;
  /** The height, in pixels. */
  readonly height: number;
  /** How sure it is that each pixel belongs to the thing, from 0 to 1, row by row. */
  readonly values: Float32Array;
}

/** Turns the codes of an outline into a mask of its box. */
export interface MaskDecoder {
  /**
   * The mask of an outline in its box, as many pixels a side as the decoder makes: 64 with the published weights.
   *
   * @throws {RangeError} when there are not sixteen codes, or one is not in the codebook.
   */
  decode(codes: readonly number[]): Mask;
}

/** Channels first: [channels, side, side]. */
interface Activations {
  readonly channels: number;
  readonly side: number;
  readonly data: Float32Array;
}

interface Convolution {
  readonly weight: NpyArray;
  readonly bias: NpyArray;
}

const grid = 4;

/**
 * Reads the weights of the decoder.
 *
 * @throws {SyntaxError} when the bytes are no `.npz` file.
 * @throws {TypeError} when an array is missing or of a wrong shape.
 */
export function loadMaskDecoder(npz: Uint8Array): MaskDecoder {
  const arrays = readNpz(npz);
  const take = (name: string, rank: number): NpyArray => {
    const array = arrays.get(name);
    if (array === undefined) {
      throw new TypeError(
        `Cannot make a mask decoder: there is no array "${name}"; expected the arrays of vae-oid.npz, found ${
          [...arrays.keys()].slice(0, 6).map((found) => `"${found}"`).join(", ")
        }`,
      );
    }
    if (array.shape.length === rank) return array;
    throw new TypeError(
      `Cannot make a mask decoder: "${name}" has the shape [${array.shape.join(",")}]; expected ${rank} axes`,
    );
  };
  const layer = (name: string): Convolution => ({ weight: take(`${name}.weight`, 4), bias: take(`${name}.bias`, 1) });
  const codebook = take("_vq_vae._embedding", 2);
  const first = layer("decoder.0");
  const blocks = ["decoder.2.net", "decoder.3.net"].map((block) =>
    [`${block}.0`, `${block}.2`, `${block}.4`].map(layer)
  );
  const upward = ["decoder.4", "decoder.6", "decoder.8", "decoder.10"].map(layer);
  const last = layer("decoder.12");
  return {
    decode(codes) {
      let x = relu(convolve(embed(codes, codebook), first));
      for (const block of blocks) {
        x = add(x, convolve(relu(convolve(relu(convolve(x, block[0]!)), block[1]!)), block[2]!));
      }
      for (const up of upward) x = relu(convolveUp(x, up));
      const { data, side } = convolve(x, last);
      // From -1 to 1, where the network was trained, to 0 to 1.
      return { width: side, height: side, values: data.map((value) => Math.min(Math.max(value / 2 + 0.5, 0), 1)) };
    },
  };
}

/** The vectors of codes on their grid, [width, 4, 4]. */
function embed(codes: readonly number[], { shape, data }: NpyArray): Activations {
  const [size, width] = shape as [number, number];
  const wrong = codes.find((code) => !Number.isInteger(code) || code < 0 || code >= size);
  if (codes.length !== grid * grid || wrong !== undefined) {
    throw new RangeError(
      `Cannot decode an outline of ${codes.length} codes${wrong === undefined ? "" : ` with ${wrong}`}: ` +
        `expected ${grid * grid} codes from 0 to ${size - 1}`,
    );
  }
  const result = new Float32Array(width * grid * grid);
  codes.forEach((code, place) => {
    for (let i = 0; i < width; i++) result[i * grid * grid + place] = data[code * width + i]!;
  });
  return { channels: width, side: grid, data: result };
}

function relu(x: Activations): Activations {
  return { ...x, data: x.data.map((value) => Math.max(value, 0)) };
}

function add(x: Activations, y: Activations): Activations {
  return { ...x, data: x.data.map((value, i) => value + y.data[i]!) };
}

/** A convolution with weights [out, in, size, size] that keeps the side. */
function convolve(x: Activations, { weight, bias }: Convolution): Activations {
  const [channels, , size] = weight.shape as [number, number, number, number];
  const { side } = x;
  const margin = (size - 1) / 2;
  const data = new Float32Array(channels * side * side);
  for (let out = 0; out < channels; out++) {
    for (let row = 0; row < side; row++) {
      for (let column = 0; column < side; column++) {
        let sum = bias.data[out]!;
        for (let i = 0; i < x.channels; i++) {
          for (let y = 0; y < size; y++) {
            const from = row + y - margin;
            if (from < 0 || from >= side) continue;
            for (let z = 0; z < size; z++) {
              const at = column + z - margin;
              if (at < 0 || at >= side) continue;
              sum += x.data[(i * side + from) * side + at]! *
                weight.data[((out * x.channels + i) * size + y) * size + z]!;
            }
          }
        }
        data[(out * side + row) * side + column] = sum;
      }
    }
  }
  return { channels, side, data };
}

/** A transposed convolution with weights [in, out, 4, 4], a stride of 2 and a margin of 1, which doubles the side. */
function convolveUp(x: Activations, { weight, bias }: Convolution): Activations {
  const [, channels, size] = weight.shape as [number, number, number, number];
  const side = 2 * x.side;
  const data = new Float32Array(channels * side * side);
  for (let out = 0; out < channels; out++) data.fill(bias.data[out]!, out * side * side, (out + 1) * side * side);
  for (let i = 0; i < x.channels; i++) {
    for (let row = 0; row < x.side; row++) {
      for (let column = 0; column < x.side; column++) {
        const value = x.data[(i * x.side + row) * x.side + column]!;
        for (let out = 0; out < channels; out++) {
          for (let y = 0; y < size; y++) {
            const to = 2 * row + y - 1;
            if (to < 0 || to >= side) continue;
            for (let z = 0; z < size; z++) {
              const at = 2 * column + z - 1;
              if (at < 0 || at >= side) continue;
              data[(out * side + to) * side + at]! += value *
                weight.data[((i * channels + out) * size + y) * size + z]!;
            }
          }
        }
      }
    }
  }
  return { channels, side, data };
}

/** The mask of a detection over the whole image of some size, zero outside its box; `null` when it has no outline. */
export function maskOf(
  { codes, box }: Detection,
  decoder: MaskDecoder,
  { width, height }: { readonly width: number; readonly height: number },
): Mask | null {
  if (codes === undefined) return null;
  const inBox = decoder.decode(codes);
  const values = new Float32Array(width * height);
  const last = { x: inBox.width - 1, y: inBox.height - 1 };
  for (let row = Math.max(Math.floor(box.top), 0); row < Math.min(Math.ceil(box.bottom), height); row++) {
    const y = (row + 0.5 - box.top) / (box.bottom - box.top) * inBox.height - 0.5;
    if (y < -0.5 || y > last.y + 0.5) continue;
    for (let column = Math.max(Math.floor(box.left), 0); column < Math.min(Math.ceil(box.right), width); column++) {
      const x = (column + 0.5 - box.left) / (box.right - box.left) * inBox.width - 0.5;
      if (x < -0.5 || x > last.x + 0.5) continue;
      values[row * width + column] = interpolate(
        inBox,
        Math.min(Math.max(x, 0), last.x),
        Math.min(Math.max(y, 0), last.y),
      );
    }
  }
  return { width, height, values };
}

/** The value between four pixels of a mask. */
function interpolate({ width, height, values }: Mask, x: number, y: number): number {
  const [left, top] = [Math.floor(x), Math.floor(y)];
  const [right, bottom] = [Math.min(left + 1, width - 1), Math.min(top + 1, height - 1)];
  const [across, down] = [x - left, y - top];
  const at = (column: number, row: number) => values[row * width + column]!;
  const upper = at(left, top) * (1 - across) + at(right, top) * across;
  const lower = at(left, bottom) * (1 - across) + at(right, bottom) * across;
  return upper * (1 - down) + lower * down;
}
