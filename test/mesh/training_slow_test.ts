/** The same model, sharded: training on meshes of all shapes gives the losses and weights of one device. */
import assert from "node:assert/strict";
import { type CausalLM, createDataset, type Distribution, openBackend, withDistribution } from "tessera";
import { distributions, meshOf, meshShapes } from "../support/meshes.ts";
import { countingRows, examplesOf, tinyModel } from "../support/models.ts";
import { assertTrainedAlike, comparableAdamW, type Trained, trainedOf } from "../support/trained.ts";

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

/** What ten steps come to. */
async function train(prepare: (lm: CausalLM) => void, distribution: Distribution | null): Promise<Trained> {
  const sizes = { vocabularySize: 64, numQueryHeads: 8, numKeyValueHeads: 4 };
  const lm = withDistribution(distribution, () => tinyModel(distribution === null ? one : many, sizes));
  prepare(lm);
  lm.compile({ optimizer: comparableAdamW(5e-3) });
  const { steps } = await withDistribution(distribution, () => lm.fit(dataset, { epochs: 5 }));
  const trained = await trainedOf(lm, steps);
  lm.dispose();
  return trained;
}

for (const [how, prepare] of Object.entries(training)) {
  const expected = train(prepare, null);
  for (const [name, make] of Object.entries(distributions)) {
    for (const [batch, model] of meshShapes) {
      // PEFT's factors differ from Keras's in their layouts only.
      if (how === "PEFT's LoRA" && (batch !== 2 || name === "data parallelism")) continue;
      Deno.test(`${how}, ${name} on ${batch}×${model}: ten steps have the losses and weights of one device`, async () => {
        const wanted = await expected;
        const found = await train(prepare, make(meshOf(many, batch, model)));
        assert.equal(found.losses.length, 10);
        assertTrainedAlike(found, wanted, { losses: 1e-6, weights: 2e-6 });
      });
    }
  }
}
