/** Tessera as a contestant of the LoRA benchmark; see `peer.ts` for the protocol. */
import { parseArgs } from "node:util";
import { countOperations, decompose, einsum, optimize, sizeOf, trace } from "@tessera/core";
import { countParameters } from "@tessera/nn";
import { traceTrainStep } from "@tessera/train";
import { adamW, type Backend, CausalLM, createDataset, openBackend } from "tessera";
import { examples, optimizer } from "./lora_shape.ts";
import { TextLineStream } from "./text_lines.ts";

const { values } = parseArgs({
  options: {
    batch: { type: "string", default: "2" },
    time: { type: "string", default: "256" },
    rank: { type: "string", default: "8" },
    threads: { type: "string", default: "2" },
    checkpoint: { type: "string" },
  },
});
const [batch, time, rank, threads] = [values.batch, values.time, values.rank, values.threads].map(Number) as [
  number,
  number,
  number,
  number,
];

const start = performance.now();
const backend = await openBackend("cpu", { threads });
const lm = await CausalLM.fromPreset(values.checkpoint!, { backend });
lm.enableLora({ rank, layout: "peft" });
const dataset = createDataset(examples(batch, time), { batchSize: batch, buckets: [time] });
const adam = adamW(optimizer);
lm.compile({ optimizer: adam });
const losses: number[] = [];
const steps = async (count: number) => {
  const before = performance.now();
  await lm.fit(dataset, { epochs: count, onStep: ({ loss }) => void losses.push(loss) });
  return (performance.now() - before) / 1000;
};
await steps(1);
const firstStepSeconds = (performance.now() - start) / 1000;
await steps(1);
const say = (message: object) => console.log(JSON.stringify(message));
say({ event: "ready", name: "Tessera", firstStepSeconds });
for await (const line of Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())) {
  const count = Number(line.replace("go ", ""));
  const seconds = await steps(count);
  say({ event: "block", name: "Tessera", steps: count, seconds, tokensPerSecond: count * batch * time / seconds });
}
const { total, trainable } = countParameters(lm.variables);
const peakRssBytes = await peakRss();
const floor = {
  operations: countOperations(optimize(decompose(traceTrainStep(lm, adam, batch, time).graph))),
  peakPerSecond: await productPeak(backend),
};
say({ name: "Tessera", firstStepSeconds, peakRssBytes, losses, parameters: total, trainable, floor });

/**
 * The operations per second of a matrix product of about the feed-forward layer's size: the best of some runs. Rows of 1040 floats lie
 * well in the first cache, where those of 1024 compete for the same lines.
 */
async function productPeak(backend: Backend): Promise<number> {
  const [rows, inner, columns] = [512, 1040, 4096] as const;
  const x = { shape: [rows, inner], dtype: "float32" } as const;
  const w = { shape: [columns, inner], dtype: "float32" } as const;
  const graph = trace("product", { x, w }, (inputs) => ({ y: einsum("ab,cb->ac", inputs.x, inputs.w) }));
  const program = await backend.compile(graph, { device: backend.devices[0]! });
  const numbers = (size: number) => Float32Array.from({ length: size }, (_, i) => Math.sin(i));
  const buffers = [x, w].map((type) => backend.upload({ ...type, data: numbers(sizeOf(type.shape)) }));
  let best = 0;
  for (let run = 0; run < 40; run++) {
    const before = performance.now();
    const outputs = await program.run(buffers);
    best = Math.max(best, countOperations(graph) / ((performance.now() - before) / 1000));
    outputs.forEach((output) => output.dispose());
  }
  return best;
}

/** The peak resident set size of this process, in bytes. */
async function peakRss(): Promise<number> {
  try {
    const status = await Deno.readTextFile("/proc/self/status");
    return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
  } catch {
    return Deno.memoryUsage().rss;
  }
}
