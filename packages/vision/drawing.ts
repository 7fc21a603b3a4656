/** Images with what was found on them, as SVG. */
import type { Detection, Size } from "./detections.ts";
import type { Mask } from "./mask_decoder.ts";

/** What is drawn over an image. */
export interface DrawOptions {
  /** The masks of detections, in their order; `null` for those without one. */
  readonly masks?: readonly (Mask | null)[];
  /** How many times larger the drawing is shown than the image; 1 unless given. */
  readonly scale?: number;
}

/** Colors that are told apart on most images. */
const strokes = ["#e6194b", "#0a7cff", "#f58231", "#911eb4", "#008a5a", "#b8860b"];

/** Masks cover what they are at least this sure of. */
const threshold = 0.5;

function escape(text: string): string {
  const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return text.replace(/[&<>"]/g, (character) => entities[character]!);
}

/** The address of a file's own bytes. */
export function dataUrl(file: Uint8Array, type: string): string {
  let binary = "";
  for (let start = 0; start < file.length; start += 8192) {
    binary += String.fromCharCode(...file.subarray(start, start + 8192));
  }
  return `data:${type};base64,${btoa(binary)}`;
}

/** A mask as a path of one rectangle per run of pixels. */
function maskPath({ width, height, values }: Mask): string {
  const runs: string[] = [];
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      if (values[row * width + column]! < threshold) continue;
      const start = column;
      while (column < width && values[row * width + column]! >= threshold) column++;
      runs.push(`M${start} ${row}h${column - start}v1h${start - column}z`);
    }
  }
  return runs.join("");
}

/**
 * An image with boxes, labels and masks drawn over it, as an SVG element of its own.
 *
 * @param source the address of the image, such as `dataUrl(file, "image/png")`.
 */
export function drawDetections(
  source: string,
  size: Size,
  detections: readonly Detection[],
  options: DrawOptions = {},
): string {
  const { masks = [], scale = 1 } = options;
  const { width, height } = size;
  // Lines and letters have one width on the screen, whatever the image's size.
  const unit = 1 / scale;
  const marks = detections.map(({ label, box }, i) => {
    const stroke = strokes[i % strokes.length]!;
    const mask = masks[i] ?? null;
    const textHeight = 12 * unit;
    const above = box.top >= textHeight + 2 * unit;
    const baseline = above ? box.top - 3 * unit : Math.min(box.bottom + textHeight, height - 2 * unit);
    return (mask === null ? "" : `<path d="${maskPath(mask)}" fill="${stroke}" fill-opacity="0.45"/>`) +
      `<rect x="${box.left}" y="${box.top}" width="${box.right - box.left}" height="${box.bottom - box.top}" ` +
      `fill="none" stroke="${stroke}" stroke-width="${2 * unit}"/>` +
      `<text x="${box.left}" y="${baseline}" font-family="system-ui,sans-serif" font-size="${textHeight}" fill="${stroke}" ` +
      `stroke="#fff" stroke-width="${3 * unit}" paint-order="stroke">${escape(label)}</text>`;
  });
  const alt = detections.map(({ label }) => label).join(", ");
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width * scale}" ` +
    `height="${height * scale}" role="img" aria-label="${escape(alt)}">` +
    `<image href="${escape(source)}" width="${width}" height="${height}"/>${marks.join("")}</svg>`;
}
