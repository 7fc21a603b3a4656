/** From an image file to what a vision tower sees. */
import { decodeImage, type Picture } from "./decode.ts";
import { resizeBicubic } from "./resize.ts";

/** An image: the path or address of its file, or the bytes of one. */
export type ImageSource = string | URL | Uint8Array;

/**
 * Decodes an image file.
 *
 * @throws {Error} when there is no such file, and as `decodeImage` does; messages name the file.
 */
export async function readPicture(source: ImageSource): Promise<Picture> {
  const name = source instanceof Uint8Array ? `an image of ${source.length} bytes` : `the image "${source}"`;
  const fail = (cause: unknown): never => {
    const type = cause instanceof Error && constructors.find((constructor) => cause.constructor === constructor);
    throw new (type || Error)(`Cannot read ${name}: ${reasonOf(cause)}`, { cause });
  };
  try {
    return await decodeImage(source instanceof Uint8Array ? source : await Deno.readFile(source));
  } catch (cause) {
    return fail(cause);
  }
}

const constructors = [TypeError, RangeError, SyntaxError] as const;

function reasonOf(cause: unknown): string {
  if (cause instanceof Deno.errors.NotFound) return "there is no such file";
  if (cause instanceof Deno.errors.IsADirectory) return "it is a folder";
  const { message } = cause as Error;
  return message.charAt(0).toLowerCase() + message.slice(1);
}

/** The pixels of a picture that is stretched to a square, RGB `[size, size, 3]`, as SigLIP's processor makes them. */
export function squarePixels(picture: Picture, size: number): Uint8Array {
  return resizeBicubic(picture, size, size).pixels;
}
