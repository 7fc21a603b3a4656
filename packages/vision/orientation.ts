/** Turning an image the way that its EXIF data says it was meant. */
import type { RgbImage } from "./decode.ts";

/** Where the pixel of an upright image stands in the stored one, by EXIF's orientation. */
type Source = (x: number, y: number, stored: RgbImage) => [x: number, y: number];

const sources: Readonly<Record<number, Source>> = {
  2: (x, y, { width }) => [width - 1 - x, y],
  3: (x, y, { width, height }) => [width - 1 - x, height - 1 - y],
  4: (x, y, { height }) => [x, height - 1 - y],
  5: (x, y) => [y, x],
  6: (x, y, { height }) => [y, height - 1 - x],
  7: (x, y, { width, height }) => [width - 1 - y, height - 1 - x],
  8: (x, y, { width }) => [width - 1 - y, x],
};

/** The upright image of a stored one, given EXIF's orientation from 1 to 8. */
export function turnUpright(stored: RgbImage, orientation: number): RgbImage {
  const source = sources[orientation];
  if (source === undefined) return stored;
  const [width, height] = orientation >= 5 ? [stored.height, stored.width] : [stored.width, stored.height];
  const pixels = new Uint8Array(stored.pixels.length);
  let to = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [fromX, fromY] = source(x, y, stored);
      const from = 3 * (fromY * stored.width + fromX);
      pixels[to++] = stored.pixels[from]!;
      pixels[to++] = stored.pixels[from + 1]!;
      pixels[to++] = stored.pixels[from + 2]!;
    }
  }
  return { width, height, pixels };
}
