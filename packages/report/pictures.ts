/** The pictures of a report, with the boxes that answers name drawn over them. */
import { dataUrl, drawDetections, encodePng, parseDetections, readPicture, resize, type Size } from "@tessera/vision";
import type { Generation } from "./record.ts";
import { Html, markup } from "./html.ts";

/** A picture as a page holds it. */
export interface ReportPicture extends Size {
  /** The picture itself, as an address that needs no file. */
  readonly source: string;
}

/** The pictures of a report by the paths of their files. */
export type Pictures = ReadonlyMap<string, ReportPicture>;

/** The longest side of a picture in a page, in pixels. */
const longestSide = 320;

/** The most pictures of a page. */
const mostPictures = 100;

/** The pictures of the first answers, made smaller where they are large; a file that is gone is left out. */
export async function readPictures(generations: readonly Generation[]): Promise<Pictures> {
  const paths = new Set(generations.flatMap(({ image }) => image === undefined ? [] : [image]));
  const found = await Promise.all(
    [...paths].slice(0, mostPictures).map(async (path) => {
      try {
        const picture = await readPicture(path);
        const scale = Math.min(1, longestSide / Math.max(picture.width, picture.height));
        const [width, height] = [picture.width, picture.height].map((side) => Math.max(1, Math.round(side * scale)));
        const small = resize(picture, { width: width!, height: height! });
        return [
          [path, { source: dataUrl(await encodePng(small), "image/png"), width: width!, height: height! }] as const,
        ];
      } catch {
        return [];
      }
    }),
  );
  return new Map(found.flat());
}

/** A picture with the boxes of the right answer, and again with those that were answered, where there are any. */
export function pictureRow(
  picture: ReportPicture | undefined,
  answers: { readonly expected: string; readonly after: string },
): Html | null {
  if (picture === undefined) return null;
  const scale = Math.max(1, Math.round(longestSide / 2 / Math.max(picture.width, picture.height)));
  const draw = (text: string) => {
    const { found } = parseDetections(text, picture);
    return { boxes: found.length, svg: new Html(drawDetections(picture.source, picture, found, { scale })) };
  };
  const [expected, after] = [draw(answers.expected), draw(answers.after)];
  if (expected.boxes === 0) return markup`<div class="pictures">${expected.svg}</div>`;
  return markup`<div class="pictures"><figure>${expected.svg}<figcaption>expected</figcaption></figure><figure>${after.svg}<figcaption>answered</figcaption></figure></div>`;
}
