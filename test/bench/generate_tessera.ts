/** Tessera as a contestant of the generation benchmark; see `peer.ts` for the protocol. */
import { parseArgs } from "node:util";
import { CausalLM, openBackend } from "tessera";
import { promptOf, scoredTokens } from "./generate_shape.ts";
import { TextLineStream } from "./text_lines.ts";

const { values } = parseArgs({
  options: {
    checkpoint: { type: "string" },
    weights: { type: "string", default: "float32" },
    prompt: { type: "string", default: "256" },
    new: { type: "string", default: "64" },
    threads: { type: "string", default: "2" },
    logits: { type: "string" },
    flat: { type: "boolean", default: false },
  },
});
const [length, count, threads] = [values.prompt, values.new, values.threads].map(Number) as [number, number, number];
const name = `Tessera, ${values.weights}`;
const say = (message: object) => console.log(JSON.stringify(message));

const start = performance.now();
const backend = await openBackend("cpu", { threads });
const quantize = values.weights === "float32" ? {} : { quantize: values.weights as "int8" | "int4" };
const lm = await CausalLM.fromPreset(values.checkpoint!, { backend, ...quantize });
const prompt = promptOf(length, lm.vocabularySize);

/** When each token came, in seconds from the start. */
async function generate(tokens: number): Promise<number[]> {
  const begin = performance.now();
  const times: number[] = [];
  const onProgress = () => void times.push((performance.now() - begin) / 1000);
  await lm.generateTokens([prompt], { maxNewTokens: tokens, sampler: "greedy", stopTokenIds: [], onProgress });
  return times;
}

await generate(1);
const firstStepSeconds = (performance.now() - start) / 1000;
await generate(count);
say({ event: "ready", name, firstStepSeconds });
for await (const line of Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())) {
  for (let step = Number(line.replace("go ", "")); step > 0; step--) {
    const times = await generate(count);
    const [first, last] = [times[0]!, times.at(-1)!];
    say({ event: "block", name, prefill: length / first, decode: (count - 1) / (last - first) });
  }
}
const memory = memoryUse();
if (values.logits !== undefined) {
  const { data } = await lm.score({ tokenIds: [prompt.slice(0, scoredTokens)] });
  await Deno.writeFile(values.logits, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}
say({ name, firstStepSeconds, ...memory, ...(values.flat ? { flat: await flatness() } : {}) });

/** Milliseconds per token around the 64th and around the 1024th new token. */
async function flatness(): Promise<{ readonly at64: number; readonly at1024: number }> {
  const times = await generate(1060);
  const around = (at: number) => {
    const steps = Array.from({ length: 49 }, (_, i) => times[at - 24 + i]! - times[at - 25 + i]!);
    return 1000 * steps.toSorted((a, b) => a - b)[24]!;
  };
  return { at64: around(64), at1024: around(1024) };
}

/** The most memory that this process had resident, and what of it now is no mapped file, in bytes. */
function memoryUse(): { readonly peakRssBytes: number; readonly anonymousBytes: number } {
  try {
    const status = Deno.readTextFileSync("/proc/self/status");
    const field = (key: string) => Number(new RegExp(`${key}:\\s+(\\d+) kB`).exec(status)?.[1]) * 1024;
    return { peakRssBytes: field("VmHWM"), anonymousBytes: field("RssAnon") };
  } catch {
    const { rss } = Deno.memoryUsage();
    return { peakRssBytes: rss, anonymousBytes: rss };
  }
}
