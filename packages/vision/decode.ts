/** Image files as RGB pixels, the way that Pillow reads them: turned upright, gray spread over three channels, alpha dropped. */
import { codecs } from "./codecs.ts";
import { type ImageHeader, readImageHeader } from "./header.ts";
import { turnUpright } from "./orientation.ts";

/** An image in RGB, row by row from the top. */
export interface RgbImage {
  /** The width, in pixels. */
  readonly width: number;
  /** The height, in pixels. */
  readonly height: number;
  /** Red, green and blue of each pixel, `[height, width, 3]`. */
  readonly pixels: Uint8Array;
}

/** The most pixels of an image; Pillow warns of a decompression bomb above this. */
const mostPixels = 89_478_485;

/**
 * Decodes a PNG, a JPEG or a WebP.
 *
 * @throws {TypeError} when the file is of another format, or of a kind that is not read, such as CMYK.
 * @throws {RangeError} when the image is larger than 89 million pixels, before anything is decoded.
 * @throws {SyntaxError} when the file is damaged or cut short.
 */
export async function decodeImage(bytes: Uint8Array): Promise<RgbImage> {
  const header = readImageHeader(bytes);
  const { format, width, height, channels } = header;
  if (width * height > mostPixels) {
    throw new RangeError(
      `The image is ${width} × ${height} pixels, more than the ${mostPixels} that are decoded; make it smaller first`,
    );
  }
  if (format === "jpeg" && channels !== 1 && channels !== 3) {
    throw new TypeError(
      `The JPEG file has ${channels} channels (CMYK); expected gray or color; convert it to RGB first`,
    );
  }
  const rgba = await decodePixels(header, bytes);
  return turnUpright({ width, height, pixels: dropAlpha(rgba) }, header.orientation);
}

/** The pixels as stored, [height, width, 4]. */
async function decodePixels(header: ImageHeader, bytes: Uint8Array): Promise<Uint8ClampedArray | Uint8Array> {
  const { format, width, height } = header;
  let data: ArrayLike<number>;
  try {
    data = (await codecs[format](bytes, header)).data;
  } catch (cause) {
    throw new SyntaxError(`The ${format} file is damaged: its pixels cannot be decoded`, { cause });
  }
  if (data.length !== 4 * width * height) {
    throw new SyntaxError(
      `The ${format} file is damaged: it says ${width} × ${height} pixels, and holds ${data.length / 4}`,
    );
  }
  if (!(data instanceof Uint16Array)) return data as Uint8ClampedArray;
  // Sixteen bits of gray: Pillow cuts values above 255 rather than scaling them, and the processor with it.
  return Uint8ClampedArray.from(data);
}

function dropAlpha(rgba: Uint8ClampedArray | Uint8Array): Uint8Array {
  const pixels = new Uint8Array(rgba.length / 4 * 3);
  let to = 0;
  for (let from = 0; from < rgba.length; from += 4) {
    pixels[to++] = rgba[from]!;
    pixels[to++] = rgba[from + 1]!;
    pixels[to++] = rgba[from + 2]!;
  }
  return pixels;
}
