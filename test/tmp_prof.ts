import { adamW, CausalLM, createDataset } from "tessera";
import { onnxBackend } from "@tessera/backend-onnx";
import { examples } from "./bench/lora_shape.ts";
const backend = onnxBackend({ threads: 2, session: { profilePath: "/tmp/scratch/prof" } });
const t0 = performance.now();
const lm = await CausalLM.fromPreset("/tmp/oracle_bench_base", { backend });
lm.enableLora({ rank: 8, layout: "peft" });
const dataset = createDataset(examples(2, 256), { batchSize: 2, buckets: [256] });
lm.compile({ optimizer: adamW({ learningRate: 1e-3 }) });
let last = performance.now();
await lm.fit(dataset, {
  epochs: 5,
  onStep: (r) => {
    console.log(r.step, r.loss.toFixed(5), (performance.now() - last).toFixed(0));
    last = performance.now();
  },
});
lm.dispose();
await new Promise((r) => setTimeout(r, 1500));
