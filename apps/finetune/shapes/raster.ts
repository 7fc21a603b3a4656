/** Scenes as pixels, with smooth edges. */
import type { RgbImage } from "@tessera/vision";
import { colors, type Scene, type Shape, side } from "./scene.ts";

/** Samples along a pixel's side. */
const samples = 4;

/** Whether a point lies in a shape, from 0 to 1 in either direction of its box. */
const contains: Readonly<Record<Shape["kind"], (x: number, y: number) => boolean>> = {
  circle: (x, y) => (x - 0.5) ** 2 + (y - 0.5) ** 2 <= 0.25,
  square: () => true,
  triangle: (x, y) => Math.abs(x - 0.5) <= y / 2,
};

/** The share of a pixel that a shape covers. */
function coverage({ kind, box }: Shape, column: number, row: number): number {
  const width = box.right - box.left;
  const height = box.bottom - box.top;
  let hits = 0;
  for (let i = 0; i < samples * samples; i++) {
    const x = (column + (i % samples + 0.5) / samples - box.left) / width;
    const y = (row + (Math.floor(i / samples) + 0.5) / samples - box.top) / height;
    if (x >= 0 && x <= 1 && y >= 0 && y <= 1 && contains[kind](x, y)) hits++;
  }
  return hits / samples ** 2;
}

/** The image of a scene. */
export function rasterize({ ground, shapes }: Scene): RgbImage {
  const pixels = new Uint8Array(side * side * 3).fill(ground);
  for (const shape of shapes) {
    const { box, color } = shape;
    for (let row = box.top; row < box.bottom; row++) {
      for (let column = box.left; column < box.right; column++) {
        const share = coverage(shape, column, row);
        const at = 3 * (row * side + column);
        colors[color].forEach((value, channel) => {
          pixels[at + channel] = Math.round(share * value + (1 - share) * pixels[at + channel]!);
        });
      }
    }
  }
  return { width: side, height: side, pixels };
}
