import assert from "node:assert/strict";
import { createRandom } from "@tessera/tiny";
import { loadTokenizer } from "@tessera/tokenizer";
import { intersectionOverUnion, parseDetections } from "@tessera/vision";
import { CausalLM, openBackend, readImage } from "tessera";
import { examplesOf } from "./generate.ts";
import { rasterize } from "./raster.ts";
import { architecture, contextLength, imageTokens } from "./recipe.ts";
import { colors, drawScene, palettes, side, tasksOf } from "./scene.ts";
import { scoreImages } from "./score.ts";
import { tokenizerFiles } from "./tokenizer.ts";

const folder = new URL("./paligemma-tiny", import.meta.url).pathname;
const data = new URL("./data/", import.meta.url);

Deno.test("the committed images and examples are what generate.ts writes", async () => {
  for (const name of ["train", "heldout"] as const) {
    const { scenes, records } = examplesOf(name);
    const committed = await Deno.readTextFile(new URL(`${name}.jsonl`, data));
    assert.equal(committed, records.map((record) => JSON.stringify(record) + "\n").join(""));
    for (const i of [0, 7, scenes.length - 1]) {
      const image = await readImage(new URL(`${name}/${String(i).padStart(3, "0")}.png`, data).pathname);
      assert.deepEqual(image, rasterize(scenes[i]!));
    }
  }
});

Deno.test("no held-out image is in the training examples, nor its colors in pretraining", () => {
  const describe = ({ shapes }: { shapes: unknown }) => JSON.stringify(shapes);
  const seen = new Set(examplesOf("train").scenes.map(describe));
  assert(examplesOf("heldout").scenes.filter((scene) => seen.has(describe(scene))).length <= 1);
  assert(palettes.finetuning.every((color) => !(palettes.pretraining as readonly string[]).includes(color)));
});

Deno.test("shapes do not overlap, lie in the image, and are what tasks say of them", () => {
  const random = createRandom(1);
  for (let i = 0; i < 200; i++) {
    const scene = drawScene(random, palettes.pretraining);
    for (const { box } of scene.shapes) {
      assert(box.left >= 0 && box.top >= 0 && box.right <= side && box.bottom <= side);
    }
    const [a, b] = scene.shapes;
    if (b !== undefined) assert.equal(intersectionOverUnion(a!.box, b.box), 0);
    const [caption, , detection] = tasksOf(scene, random);
    assert(scene.shapes.every(({ color, kind }) => caption!.response.includes(`${color} ${kind}`)));
    const { found, skipped } = parseDetections(detection!.response, { width: side, height: side });
    assert.deepEqual(skipped, []);
    // The last place along a side, 1023, is not quite its end.
    assert(scene.shapes.some(({ box }) => intersectionOverUnion(box, found[0]!.box) > 0.98));
  }
});

Deno.test("rasterize() fills squares with their color, and nothing around them", () => {
  const box = { left: 8, top: 16, right: 24, bottom: 32 };
  const { pixels } = rasterize({ ground: 210, shapes: [{ kind: "square", color: "blue", box }] });
  const at = (x: number, y: number) => [...pixels.subarray(3 * (y * side + x), 3 * (y * side + x) + 3)];
  assert.deepEqual(at(8, 16), [...colors.blue]);
  assert.deepEqual(at(23, 31), [...colors.blue]);
  assert.deepEqual([at(7, 16), at(24, 31), at(8, 15)], [[210, 210, 210], [210, 210, 210], [210, 210, 210]]);
});

Deno.test("the committed tokenizer is the recipe's, and has PaliGemma's tokens", async () => {
  const { tokenizer, config } = tokenizerFiles();
  assert.deepEqual(
    JSON.parse(await Deno.readTextFile(`${folder}/tokenizer.json`)),
    JSON.parse(JSON.stringify(tokenizer)),
  );
  assert.deepEqual(
    JSON.parse(await Deno.readTextFile(`${folder}/tokenizer_config.json`)),
    JSON.parse(JSON.stringify(config)),
  );
  const loaded = await loadTokenizer(folder);
  assert.equal(loaded.tokenToId("<image>"), architecture.imageTokenId);
  assert.deepEqual(loaded.encode("<loc0001><loc1023> cat"), [
    loaded.tokenToId("<loc0001>"),
    loaded.tokenToId("<loc1023>"),
    ...loaded.encode(" cat"),
  ]);
  assert.equal(loaded.decode(loaded.encode("<loc0001> cat"), { skipSpecialTokens: true }), "<loc0001> cat");
  assert.equal(imageTokens.length, 1153);
});

Deno.test("paligemma-tiny captions, answers and detects on images that it has not seen", async () => {
  const backend = await openBackend("cpu");
  const lm = await CausalLM.fromPreset(folder, { backend });
  try {
    assert.equal(lm.contextLength, contextLength);
    const { captions, answers, overlap } = await scoreImages(lm, 40);
    assert(captions >= 0.6, `captions ${captions}`);
    assert(answers >= 0.8, `answers ${answers}`);
    assert(overlap >= 0.75, `overlap ${overlap}`);
  } finally {
    lm.dispose();
    backend.dispose();
  }
});
