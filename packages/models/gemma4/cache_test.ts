import assert from "node:assert/strict";
import { cacheVariables } from "../generation/cache.ts";
import { Gemma4Backbone } from "./gemma4.ts";
import { gemma4Sizes } from "./presets.ts";

Deno.test("the cache of Gemma 4 E2B has entries of 15 of 35 layers, global ones with larger heads", () => {
  const layers = cacheVariables(new Gemma4Backbone(gemma4Sizes.e2b), 2, 256);
  assert.equal(layers.length, 35);
  const shapes = layers.map((layer) => layer === null ? null : [layer.key, layer.value].map(({ shape }) => shape));
  const [windowed, global] = [256, 512].map((headDim) => [[2, 256, 1, headDim], [2, 256, 1, headDim]]);
  assert.deepEqual(shapes.slice(0, 15), Array.from({ length: 15 }, (_, i) => i % 5 === 4 ? global : windowed));
  assert.deepEqual(shapes.slice(15), Array.from({ length: 20 }, () => null));
});

Deno.test("keys of Gemma 4 31B that are values are cached as both, as only the keys are turned", () => {
  const layers = cacheVariables(new Gemma4Backbone(gemma4Sizes["31b"]), 1, 8);
  const { key, value } = layers[5]!;
  assert.deepEqual([key.shape, value.shape], [[1, 8, 4, 512], [1, 8, 4, 512]]);
  assert.notEqual(key, value);
  assert.deepEqual(layers[4]!.key.shape, [1, 8, 16, 256]);
});
