import { adamW, openBackend, traceTrainStep, encodeExamples, legalize, optimize, eliminateDeadCode } from "tessera";
import { tinyModel } from "./support/models.ts";
import { lower, prepare, cpuSupport } from "../packages/backend-onnx/lowering/lower.ts";
import { encodeModel } from "../packages/backend-onnx/model/encode.ts";
import { memorySharing } from "../packages/backend-onnx/donation.ts";
const backend = await openBackend("cpu");
for (const lora of [true, false]) {
const lm = tinyModel(backend, { vocabularySize: 8000, numLayers: 4, numQueryHeads: 8, numKeyValueHeads: 4, hiddenDim: 512, intermediateDim: 4096, headDim: 64, slidingWindowSize: 64 });
if (lora) lm.enableLora({ rank: 8, layout: "peft" });
const o = adamW({ learningRate: 1e-3 });
const t = (n: string, f: () => any) => { const s = performance.now(); const r = f(); console.log(n, (performance.now() - s).toFixed(1)); return r; };
const s0 = performance.now(); await o.build(lm.variables.filter(v => v.trainable), backend); console.log("build", (performance.now()-s0).toFixed(1));
const tr = t("trace", () => traceTrainStep(lm, o, 2, 128));
console.log("nodes", tr.graph.nodes?.length);
const p = t("prepare", () => prepare(tr.graph, cpuSupport));
const l = t("lower", () => lower(p));
t("sharing", () => memorySharing(l.model));
const b = t("encode", () => encodeModel(l.model));
console.log(b.length);
}
