/**
 * Writes the data of the fine-tuning task: images of shapes in colors that pretraining never shows, each with a caption to give and a
 * shape to find. Run it from any folder with `deno run -A apps/finetune/shapes/generate.ts`; each run writes the same bytes.
 */
import { createRandom } from "@tessera/tiny";
import { encodePng } from "@tessera/vision";
import { rasterize } from "./raster.ts";
import { finetuningData } from "./recipe.ts";
import { drawScene, palettes, type Scene, tasksOf } from "./scene.ts";

/** The scenes of a file and its examples, as records of a JSONL file. */
export function examplesOf(name: "train" | "heldout"): { scenes: Scene[]; records: Record<string, string>[] } {
  const { seed, train, heldOut } = finetuningData;
  const random = createRandom(name === "train" ? seed : seed + 1);
  const scenes = Array.from(
    { length: name === "train" ? train : heldOut },
    () => drawScene(random, palettes.finetuning),
  );
  const records = scenes.flatMap((scene, i) => {
    const image = `${name}/${String(i).padStart(3, "0")}.png`;
    const [caption, , detection] = tasksOf(scene, random);
    return [caption!, detection!].map((task) => ({ image, ...task }));
  });
  return { scenes, records };
}

if (import.meta.main) {
  for (const name of ["train", "heldout"] as const) {
    const { scenes, records } = examplesOf(name);
    const folder = new URL(`./data/${name}`, import.meta.url).pathname;
    await Deno.mkdir(folder, { recursive: true });
    for (const [i, scene] of scenes.entries()) {
      await Deno.writeFile(`${folder}/${String(i).padStart(3, "0")}.png`, await encodePng(rasterize(scene)));
    }
    await Deno.writeTextFile(`${folder}.jsonl`, records.map((record) => JSON.stringify(record) + "\n").join(""));
    console.log(`Wrote ${folder}.jsonl: ${records.length} examples about ${scenes.length} images`);
  }
}
