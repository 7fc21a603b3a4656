/** Unknown options: every function of the facade that takes options refuses them, with the nearest name. */
import assert from "node:assert/strict";
import {
  adamW,
  buildPreset,
  CausalLM,
  createDataset,
  DataParallel,
  DeviceMesh,
  downloadRepository,
  hardware,
  LayoutMap,
  ModelParallel,
  openBackend,
  openPreset,
  planTraining,
  pushToHub,
  suggestMeshes,
  TensorLayout,
  virtualDevices,
  visualizeSharding,
} from "tessera";

const tinyModel = new URL("gemma2-tiny", import.meta.resolve("@tessera/tiny")).pathname;
const lm = await CausalLM.fromPreset(tinyModel);
const data = await lm.dataset([{ prompt: "a", response: "b" }]);
const mesh = new DeviceMesh([2], ["batch"], virtualDevices(2));

/** Options as a program without types gives them. */
// deno-lint-ignore no-explicit-any
const untyped = (options: object) => options as any;

/** Calls by the misspelled option that each gets, and the one that is meant. */
const calls: readonly (readonly [wrong: string, right: string, call: (options: object) => unknown])[] = [
  ["max_new_tokens", "maxNewTokens", (options) => lm.generate("a", untyped(options))],
  ["topk", "topK", (options) => lm.generateTokens([[2]], untyped(options))],
  ["temprature", "temperature", (options) => lm.stream("a", untyped(options)).next()],
  ["stop_strings", "stopStrings", (options) => lm.chat("a", untyped(options))],
  ["tool", "tools", (options) => lm.streamChat("a", untyped(options)).next()],
  ["modes", "mode", (options) => lm.score(untyped({ tokenIds: [[2]], ...options }))],
  ["widht", "width", (options) => lm.summary(untyped(options))],
  ["layers", "layer", (options) => lm.printSharding(untyped(options))],
  ["ranks", "rank", (options) => lm.enableLora(untyped({ rank: 4, ...options }))],
  ["optimiser", "optimizer", (options) => lm.compile(untyped(options))],
  ["batch_size", "batchSize", (options) => lm.dataset([{ text: "a" }], untyped(options))],
  ["on_progress", "onProgress", (options) => lm.evaluate(data, untyped(options))],
  ["signals", "signal", (options) => lm.loadAdapter(".", untyped(options))],
  ["dtypes", "dtype", (options) => lm.saveToPreset(".", untyped(options))],
  ["learning_rate", "learningRate", (options) => adamW(untyped(options))],
  ["padID", "padId", (options) => createDataset(data.examples, untyped(options))],
  ["load_weights", "loadWeights", (options) => CausalLM.fromPreset(tinyModel, untyped(options))],
  ["parts", "part", (options) => openPreset(tinyModel, untyped(options))],
  ["onWarnings", "onWarning", async (options) => await (await openPreset(tinyModel)).load(untyped(options))],
  ["device_count", "deviceCount", (options) => openBackend("cpu", untyped(options))],
  ["quantise", "quantize", (options) => buildPreset("gemma_2b_en", untyped(options))],
  ["visiblity", "visibility", (options) => pushToHub("hf://me/model", ".", untyped(options))],
  ["reporters", "reporter", (options) => downloadRepository("hf://me/model", untyped(options))],
  ["batch_dim_name", "batchDimName", (options) => new DataParallel(untyped({ mesh, ...options }))],
  ["kvheads", "kvHeads", (options) => new ModelParallel(untyped({ layoutMap: new LayoutMap(mesh), ...options }))],
  ["colour", "color", (options) => visualizeSharding([2], new TensorLayout(["batch"], mesh), mesh, untyped(options))],
  ["modelaxis", "modelAxis", (options) => lm.backbone.getLayoutMap(untyped(mesh), untyped(options))],
  ["batchsize", "batchSize", (options) => planTraining(untyped(options), untyped({}))],
  ["hardwares", "hardware", (options) => planTraining(untyped({}), untyped(options))],
  ["onprogress", "onProgress", (options) => suggestMeshes(untyped({}), 2, untyped({ hardware, ...options }))],
];

for (const [wrong, right, call] of calls) {
  Deno.test(`the option "${wrong}" is an error that names "${right}"`, async () => {
    await assert.rejects(
      // `async` makes a rejection of what is thrown at once.
      async () => await call({ [wrong]: undefined }),
      (error) => {
        assert(error instanceof TypeError);
        assert(error.message.endsWith(`: "${wrong}" is not an option; did you mean "${right}"?`), error.message);
        return error.message.startsWith("Cannot ");
      },
    );
  });
}

Deno.test("fit() names the nearest option, of checkpoints too, and compile() leaves a model as it was", async () => {
  lm.compile();
  const { trainer } = lm;
  assert.throws(() => lm.compile(untyped({ optimiser: adamW() })), /"optimiser" is not an option/);
  assert.throws(() => lm.compile(untyped({ optimizer: {} })), /expected an optimizer such as adamW\(\)/);
  assert.equal(lm.trainer, trainer);
  await assert.rejects(lm.fit(data, untyped({ epoch: 1 })), /"epoch" is not an option; did you mean "epochs"\?/);
  const checkpoint = { folder: "nowhere", every_steps: 1 };
  await assert.rejects(
    lm.fit(data, untyped({ checkpoint })),
    /"every_steps" is not an option; did you mean "everySteps"/,
  );
});
