/** From an image file to what a vision tower sees. */
import { type FileEntry, fileOf } from "@tessera/files";
import { decodeImage, type RgbImage } from "./decode.ts";
import { type Resampling, resize } from "./resize.ts";

/** An image: the path of its file, the file, or its bytes. */
export type ImageSource = string | FileEntry | Uint8Array;

/**
 * Decodes an image file.
 *
 * @throws {Error} when there is no such file, and as `decodeImage` does; messages name the file.
 */
export async function readImage(source: ImageSource): Promise<RgbImage> {
  if (source instanceof Uint8Array) return await decodeNamed(source, `an image of ${source.length} bytes`);
  const file = fileOf(source);
  const bytes = await new Response(await file.stream()).arrayBuffer();
  return await decodeNamed(new Uint8Array(bytes), `the image "${file.path}"`);
}

const constructors = [TypeError, RangeError, SyntaxError] as const;

async function decodeNamed(bytes: Uint8Array, name: string): Promise<RgbImage> {
  try {
    return await decodeImage(bytes);
  } catch (cause) {
    const { constructor, message } = cause as Error;
    const type = constructors.find((known) => known === constructor) ?? Error;
    throw new type(`Cannot read ${name}: ${message.charAt(0).toLowerCase()}${message.slice(1)}`, { cause });
  }
}

/** The pixels of an image that is stretched to a square, RGB `[size, size, 3]`, as SigLIP's processor makes them unless given. */
export function squarePixels(
  image: RgbImage,
  { size, resampling = "bicubic" }: { readonly size: number; readonly resampling?: Resampling },
): Uint8Array {
  return resize(image, { width: size, height: size, resampling }).pixels;
}
