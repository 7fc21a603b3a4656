/** How well a model captions, answers and detects on pictures that it has not seen. */
import { type Box, type CausalLM, encodePng, parseDetections } from "tessera";
import { createRandom } from "../tiny/random.ts";
import { rasterize } from "./raster.ts";
import { type Colour, drawScene, palettes, side, tasksOf } from "./scene.ts";

/** Shares of right answers, and how well boxes fit. */
export interface PictureScore {
  /** The share of captions that are right to the character. */
  readonly captions: number;
  /** The share of answers that are right to the character. */
  readonly answers: number;
  /** The mean overlap of the boxes found with those that are there, intersection over union. */
  readonly overlap: number;
  /** The number of pictures. */
  readonly pictures: number;
}

/** The seed of the pictures that no training sees. */
const heldOutSeed = 999_983;

/** The area that two boxes share over that which they cover together. */
export function intersectionOverUnion(a: Box, b: Box): number {
  const across = Math.max(0, Math.min(a.right, b.right) - Math.max(a.left, b.left));
  const down = Math.max(0, Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top));
  const area = (box: Box) => (box.right - box.left) * (box.bottom - box.top);
  const shared = across * down;
  return shared / (area(a) + area(b) - shared);
}

/** Scores a model on pictures drawn with the colours of pretraining, or others. */
export async function scorePictures(
  lm: CausalLM,
  pictures: number,
  palette: readonly Colour[] = palettes.pretraining,
): Promise<PictureScore> {
  const random = createRandom(heldOutSeed);
  const scenes = Array.from({ length: pictures }, () => drawScene(random, palette));
  const files = await Promise.all(scenes.map((scene) => encodePng(rasterize(scene))));
  const tasks = scenes.map((scene) => tasksOf(scene, random));
  const replies = async (kind: number) => {
    const prompts = tasks.map((ofScene, i) => ({ image: files[i]!, prompt: ofScene[kind]!.prompt }));
    return await lm.generate(prompts, { stripPrompt: true, maxNewTokens: 24 });
  };
  const right = (texts: readonly string[], kind: number) =>
    texts.filter((text, i) => text === tasks[i]![kind]!.response).length / pictures;
  const size = { width: side, height: side };
  const overlaps = (await replies(2)).map((text, i) => {
    const [found] = parseDetections(text, size).found;
    const [wanted] = parseDetections(tasks[i]![2]!.response, size).found;
    return found === undefined || found.label !== wanted!.label ? 0 : intersectionOverUnion(found.box, wanted!.box);
  });
  return {
    captions: right(await replies(0), 0),
    answers: right(await replies(1), 1),
    overlap: overlaps.reduce((sum, value) => sum + value, 0) / pictures,
    pictures,
  };
}
