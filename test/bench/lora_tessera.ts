/** Tessera as a contestant of the LoRA benchmark; see `peer.ts` for the protocol. */
import { parseArgs } from "node:util";
import { adamW, CausalLM, countParameters, createDataset, openBackend } from "tessera";
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
lm.compile({ optimizer: adamW(optimizer) });
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
say({ name: "Tessera", firstStepSeconds, peakRssBytes: await peakRss(), losses, parameters: total, trainable });

/** The most memory that this process had resident, in bytes. */
async function peakRss(): Promise<number> {
  try {
    const status = await Deno.readTextFile("/proc/self/status");
    return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
  } catch {
    return Deno.memoryUsage().rss;
  }
}
