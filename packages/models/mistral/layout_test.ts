import assert from "node:assert/strict";
import { assertTwoAllReducesABlock, replicatedKernels } from "../architecture/testing.ts";
import { MistralBackbone } from "./mistral.ts";

/** Nemo's head dimension with few layers and heads, of which all but the first have a window. */
function nemo(numLayers: number): MistralBackbone {
  return new MistralBackbone({
    vocabularySize: 4096,
    numLayers,
    numQueryHeads: 8,
    numKeyValueHeads: 4,
    hiddenDim: 640,
    intermediateDim: 1792,
    headDim: 128,
    slidingWindow: 4,
    layerTypes: Array.from({ length: numLayers }, (_, i) => i === 0 ? "full_attention" : "sliding_attention"),
  });
}

Deno.test("the published layouts of Mistral replicate no kernel", () => {
  assert.deepEqual(replicatedKernels(nemo(2)), []);
});

Deno.test("a block of Mistral has two all-reduces forward, with and without adapters, and two backward", () => {
  assertTwoAllReducesABlock(nemo);
});
