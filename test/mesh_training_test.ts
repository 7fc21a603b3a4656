/** The same model, sharded: training on meshes of all shapes gives the losses and weights of one device. */
import assert from "node:assert/strict";
import {
  adamW,
  type CausalLM,
  createDataset,
  type Distribution,
  openBackend,
  toFloat32,
  withDistribution,
} from "tessera";
import { distributions, meshOf, meshShapes } from "./support/meshes.ts";
import { countingRows, examplesOf, tinyModel } from "./support/models.ts";

const one = await openBackend("cpu", { threads: 1 });
const many = await openBackend("cpu", { threads: 1, deviceCount: 8 });
// Six rows in batches of four: the last batch is filled up, and eight devices share four rows and fewer.
const rows = countingRows([12, 12, 12, 12, 12, 12], 36);
const dataset = createDataset(examplesOf(rows), { batchSize: 4, buckets: [12] });

const training: Readonly<Record<string, (lm: CausalLM) => void>> = {
  "LoRA": (lm) => lm.enableLora({ rank: 4 }),
  "PEFT's LoRA": (lm) =>
    lm.enableLora({ rank: 4, layout: "peft", targets: ["query", "attention_output", "ffw_linear"] }),
  "all weights": () => {},
};

/** The losses of ten steps, and the sums of what was trained. */
async function train(prepare: (lm: CausalLM) => void, distribution: Distribution | null) {
  const sizes = { vocabularySize: 64, numQueryHeads: 8, numKeyValueHeads: 4 };
  const lm = withDistribution(distribution, () => tinyModel(distribution === null ? one : many, sizes));
  prepare(lm);
  lm.compile({ optimizer: adamW({ learningRate: 5e-3, globalClipNorm: 1 }) });
  const { steps } = await withDistribution(distribution, () => lm.fit(dataset, { epochs: 5 }));
  const trained = lm.variables.filter(({ trainable }) => trainable);
  const norms = await Promise.all(trained.map(async ({ value }) => Math.hypot(...toFloat32(await value!.read()))));
  lm.dispose();
  return { losses: steps.map((step) => step.loss), norms };
}

for (const [how, prepare] of Object.entries(training)) {
  const expected = train(prepare, null);
  for (const [name, make] of Object.entries(distributions)) {
    for (const [batch, model] of meshShapes) {
      // PEFT's factors differ from Keras's in their layouts only.
      if (how === "PEFT's LoRA" && (batch !== 2 || name === "data parallelism")) continue;
      Deno.test(`${how}, ${name} on ${batch}×${model}: ten steps have the losses of one device`, async () => {
        const wanted = await expected;
        const found = await train(prepare, make(meshOf(many, batch, model)));
        assert.equal(found.losses.length, 10);
        const near = (a: number, b: number) => Math.abs(a - b) <= 1e-5 * Math.abs(b);
        found.losses.forEach((loss, i) =>
          assert(near(loss, wanted.losses[i]!), `step ${i}: ${loss}, ${wanted.losses[i]}`)
        );
        found.norms.forEach((norm, i) => assert(Math.abs(norm - wanted.norms[i]!) <= 1e-4 * wanted.norms[i]!));
        assert(wanted.losses.at(-1)! < 0.98 * wanted.losses[0]!, "it must have learnt something");
      });
    }
  }
}
