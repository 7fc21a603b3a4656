/** How well a model captions, answers and detects on images that it has not seen. */
import { createRandom } from "@tessera/tiny";
import { detectionOverlaps, encodePng } from "@tessera/vision";
import type { CausalLM } from "tessera";
import { rasterize } from "./raster.ts";
import { type Color, drawScene, palettes, tasksOf } from "./scene.ts";

/** Shares of right answers, and how well boxes fit. */
export interface ImageScore {
  /** The share of captions that match exactly. */
  readonly captions: number;
  /** The share of answers that match exactly. */
  readonly answers: number;
  /** The mean overlap of the boxes found with those that are there, intersection over union. */
  readonly overlap: number;
  /** The number of images. */
  readonly images: number;
}

/** The seed of the images that no training sees. */
const heldOutSeed = 999_983;

/** Scores a model on images drawn with the colors of pretraining, or others. */
export async function scoreImages(
  lm: CausalLM,
  images: number,
  palette: readonly Color[] = palettes.pretraining,
): Promise<ImageScore> {
  const random = createRandom(heldOutSeed);
  const scenes = Array.from({ length: images }, () => drawScene(random, palette));
  const files = await Promise.all(scenes.map((scene) => encodePng(rasterize(scene))));
  const tasks = scenes.map((scene) => tasksOf(scene, random));
  const replies = async (kind: number) => {
    const prompts = tasks.map((ofScene, i) => ({ image: files[i]!, prompt: ofScene[kind]!.prompt }));
    return await lm.generate(prompts, { maxNewTokens: 24 });
  };
  const right = (texts: readonly string[], kind: number) =>
    texts.filter((text, i) => text === tasks[i]![kind]!.response).length / images;
  const overlaps = (await replies(2)).map((text, i) => detectionOverlaps(text, tasks[i]![2]!.response)[0]!);
  return {
    captions: right(await replies(0), 0),
    answers: right(await replies(1), 1),
    overlap: overlaps.reduce((sum, value) => sum + value, 0) / images,
    images,
  };
}
