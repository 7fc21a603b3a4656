/** The images of a report, with the boxes that answers name drawn over them. */
import { dataUrl, drawDetections, encodePng, parseDetections, readImage, resize, type Size } from "@tessera/vision";
import type { Generation } from "./record.ts";
import { Html, markup } from "./html.ts";

/** An image as a page holds it. */
export interface ReportImage extends Size {
  /** The image itself, as an address that needs no file. */
  readonly source: string;
}

/** The images of a report by the paths of their files. */
export type ReportImages = ReadonlyMap<string, ReportImage>;

/** The longest side of an image in a page, in pixels. */
const longestSide = 320;

/** The maximum number of images of a page. */
const mostImages = 100;

/** The images of the first answers, made smaller where they are large; a file that is gone is left out. */
export async function readReportImages(generations: readonly Generation[]): Promise<ReportImages> {
  const paths = new Set(generations.flatMap(({ image }) => image === undefined ? [] : [image]));
  const found = await Promise.all(
    [...paths].slice(0, mostImages).map(async (path) => {
      try {
        const image = await readImage(path);
        const scale = Math.min(1, longestSide / Math.max(image.width, image.height));
        const [width, height] = [image.width, image.height].map((side) => Math.max(1, Math.round(side * scale)));
        const small = resize(image, { width: width!, height: height! });
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

/** An image with the boxes of the right answer, and again with those that were answered, where there are any. */
export function imageRow(
  image: ReportImage | undefined,
  answers: { readonly expected: string; readonly after: string },
): Html | null {
  if (image === undefined) return null;
  const scale = Math.max(1, Math.round(longestSide / 2 / Math.max(image.width, image.height)));
  const draw = (text: string) => {
    const { found } = parseDetections(text, image);
    return { boxes: found.length, svg: new Html(drawDetections(image.source, image, found, { scale })) };
  };
  const [expected, after] = [draw(answers.expected), draw(answers.after)];
  if (expected.boxes === 0) return markup`<div class="images">${expected.svg}</div>`;
  return markup`<div class="images"><figure>${expected.svg}<figcaption>expected</figcaption></figure><figure>${after.svg}<figcaption>answered</figcaption></figure></div>`;
}
