/**
 * What PaliGemma writes of where things are: `<loc0123>` tokens for the edges of a box, `<seg045>` tokens for an outline.
 *
 * A detection is four places, top, left, bottom and right in 1024ths of the image, sixteen codes where an outline was asked
 * for, and a label; detections are parted by semicolons.
 * Format: https://github.com/google-research/big_vision/blob/main/big_vision/configs/proj/paligemma/README.md
 */

/** Places along a side of an image. */
const places = 1024;
/** The codes of an outline. */
const codesPerOutline = 16;
/** The number of different codes. */
const codebookSize = 128;

/** A size, in pixels. */
export interface Size {
  /** The width. */
  readonly width: number;
  /** The height. */
  readonly height: number;
}

/** A box in an image, in pixels from its upper left corner. */
export interface Box {
  /** The left edge. */
  readonly left: number;
  /** The upper edge. */
  readonly top: number;
  /** The right edge. */
  readonly right: number;
  /** The lower edge. */
  readonly bottom: number;
}

/** Something found in an image. */
export interface Detection {
  /** What it is. */
  readonly label: string;
  /** Where it is. */
  readonly box: Box;
  /** The codes of its outline, sixteen numbers from 0 to 127; none when no outline was asked for. */
  readonly codes?: readonly number[];
}

/** What a text says of an image. */
export interface Detections {
  /** The things found, in the order of the text. */
  readonly found: readonly Detection[];
  /** Parts of the text that are no detection, and why. */
  readonly skipped: readonly { readonly text: string; readonly reason: string }[];
}

const placeToken = /^<loc(\d{4})>/;
const codeToken = /^<seg(\d{3})>/;

/** The numbers of the tokens at the beginning of a text, and what follows them. */
function takeNumbers(text: string, token: RegExp): { numbers: number[]; rest: string } {
  const numbers: number[] = [];
  let rest = text.trimStart();
  for (let match = token.exec(rest); match !== null; match = token.exec(rest)) {
    numbers.push(Number(match[1]));
    rest = rest.slice(match[0].length).trimStart();
  }
  return { numbers, rest };
}

function parseDetection(text: string, { width, height }: Size): Detection | string {
  const { numbers: edges, rest: afterEdges } = takeNumbers(text, placeToken);
  const { numbers: codes, rest } = takeNumbers(afterEdges, codeToken);
  const label = rest.trim();
  if (edges.length !== 4) return `it has ${edges.length} places; a box has 4`;
  if (/<(loc|seg)\d*>?/.test(label)) return `it has places or codes where its label should be: "${label}"`;
  const beyond = edges.find((place) => place >= places);
  if (beyond !== undefined) return `place ${beyond} is outside the image; places go from 0 to ${places - 1}`;
  if (codes.length !== 0 && codes.length !== codesPerOutline) {
    return `it has ${codes.length} codes; an outline has ${codesPerOutline}`;
  }
  const odd = codes.find((code) => code >= codebookSize);
  if (odd !== undefined) return `there is no code ${odd}; codes go from 0 to ${codebookSize - 1}`;
  const [top, left, bottom, right] = edges as [number, number, number, number];
  if (top >= bottom || left >= right) return `its box is empty: ${left} to ${right} across, ${top} to ${bottom} down`;
  const box = {
    left: left / places * width,
    top: top / places * height,
    right: right / places * width,
    bottom: bottom / places * height,
  };
  return codes.length === 0 ? { label, box } : { label, box, codes };
}

/** The detections in a text that a model wrote about an image of some size. What is malformed is listed, and never guessed at. */
export function parseDetections(text: string, size: Size): Detections {
  const parts = text.split(";").map((part) => part.trim()).filter((part) => part !== "");
  const found: Detection[] = [];
  const skipped: { text: string; reason: string }[] = [];
  for (const part of parts) {
    const detection = parseDetection(part, size);
    if (typeof detection === "string") skipped.push({ text: part, reason: detection });
    else found.push(detection);
  }
  return { found, skipped };
}

/**
 * Detections as the text that PaliGemma writes, which is what it is trained on.
 *
 * @throws {RangeError} when a box is empty or reaches out of the image, or codes are not those of an outline.
 * @throws {TypeError} when a label holds a semicolon, which parts detections.
 */
export function formatDetections(detections: readonly Detection[], size: Size): string {
  return detections.map((detection) => formatDetection(detection, size)).join(" ; ");
}

function formatDetection({ label, box, codes = [] }: Detection, { width, height }: Size): string {
  const { left, top, right, bottom } = box;
  const what = `Cannot write the box of "${label}", ${left} to ${right} across and ${top} to ${bottom} down`;
  if (!(left >= 0 && top >= 0 && right <= width && bottom <= height)) {
    throw new RangeError(`${what}: it must lie within the image of ${width} × ${height} pixels`);
  }
  if (!(left < right && top < bottom)) throw new RangeError(`${what}: it is empty`);
  if (label.includes(";")) throw new TypeError(`Cannot write the label "${label}": a semicolon parts detections`);
  const known = codes.every((code) => Number.isInteger(code) && code >= 0 && code < codebookSize);
  if (!known || (codes.length !== 0 && codes.length !== codesPerOutline)) {
    throw new RangeError(
      `Cannot write the outline of "${label}": expected ${codesPerOutline} codes from 0 to ${codebookSize - 1}, ` +
        `found [${codes.join(", ")}]`,
    );
  }
  const place = (part: number) => `<loc${String(Math.min(Math.round(part * places), places - 1)).padStart(4, "0")}>`;
  const edges = [top / height, left / width, bottom / height, right / width].map(place).join("");
  const outline = codes.map((code) => `<seg${String(code).padStart(3, "0")}>`).join("");
  return `${edges}${outline} ${label}`;
}
