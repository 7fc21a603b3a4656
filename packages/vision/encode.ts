/** Images as files. */
import type { RgbImage } from "./decode.ts";

/** An image as a PNG file. */
export async function encodePng({ width, height, pixels }: RgbImage): Promise<Uint8Array> {
  const { default: encode } = await import("@jsquash/png/encode.js");
  const data = new Uint8ClampedArray(4 * width * height).fill(255);
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let channel = 0; channel < 3; channel++) data[4 * pixel + channel] = pixels[3 * pixel + channel]!;
  }
  return new Uint8Array(await encode({ data, width, height, colorSpace: "srgb" } as ImageData));
}
