/** How well the boxes that a model wrote fit those that are there. */
import { type Box, parseDetections } from "./detections.ts";

/** The area that two boxes share over that which they cover together, from 0 to 1. */
export function intersectionOverUnion(a: Box, b: Box): number {
  const across = Math.max(0, Math.min(a.right, b.right) - Math.max(a.left, b.left));
  const down = Math.max(0, Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top));
  const area = (box: Box) => (box.right - box.left) * (box.bottom - box.top);
  const shared = across * down;
  return shared / (area(a) + area(b) - shared);
}

/**
 * For each detection in the right text, how well the one that a model wrote fits it, intersection over union: those with the same
 * label are given out best fit first, each once. What nothing was written for has 0; a right text without boxes gives none.
 */
export function detectionOverlaps(text: string, right: string): number[] {
  // Overlap does not change with the size of the image.
  const [written, wanted] = [text, right].map((one) => parseDetections(one, { width: 1, height: 1 }).found);
  const pairs = wanted!.flatMap(({ label, box }, of) =>
    written!.flatMap((one, by) => one.label === label ? [{ of, by, overlap: intersectionOverUnion(one.box, box) }] : [])
  ).sort((a, b) => b.overlap - a.overlap);
  const overlaps = wanted!.map(() => 0);
  const [settled, taken] = [new Set<number>(), new Set<number>()];
  for (const { of, by, overlap } of pairs) {
    if (settled.has(of) || taken.has(by)) continue;
    settled.add(of);
    taken.add(by);
    overlaps[of] = overlap;
  }
  return overlaps;
}
