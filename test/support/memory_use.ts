/**
 * Loads and uses a checkpoint in a process of its own, and prints how much memory that took: one JSON line of bytes by what was
 * done, each beyond what the process had before loading.
 *
 * Usage: `deno run -A --v8-flags=--expose-gc memory_use.ts <scenario> <folder>`. Linux only: `RssAnon` is the memory that a process
 * has touched and that is no file's.
 */
import { adamW, CausalLM, createDataset, DeviceMesh, GemmaBackbone, ModelParallel, openBackend } from "tessera";
import { countingRows, examplesOf } from "./models.ts";

const backend = await openBackend("cpu");
const rows = countingRows([16, 16]);
const dataset = createDataset(examplesOf(rows), { batchSize: 2, buckets: [16] });

/** The memory that this process has touched and that is no file's, in bytes. */
function anonymousBytes(): number {
  return residentBytes("RssAnon");
}

/** The memory of one kind that this process has touched, in bytes. */
function residentBytes(kind: "RssAnon" | "RssFile"): number {
  return Number(new RegExp(`^${kind}:\\s+(\\d+) kB$`, "m").exec(Deno.readTextFileSync("/proc/self/status"))![1]) * 1024;
}

/** What is left of `anonymousBytes` without what JavaScript's heap has not collected yet, or keeps room for. */
function keptBytes(): number {
  (globalThis as unknown as { readonly gc: () => void }).gc();
  const { heapTotal, heapUsed } = Deno.memoryUsage();
  return anonymousBytes() - (heapTotal - heapUsed);
}

const start = anonymousBytes();
const used: Record<string, number> = {};

async function note(what: string, run: () => unknown): Promise<void> {
  await run();
  used[what] = anonymousBytes() - start;
}

const scenarios: Readonly<Record<string, (folder: string) => Promise<CausalLM>>> = {
  async load(folder) {
    const lm = await CausalLM.fromPreset(folder, { backend });
    await note("loading", () => {});
    await note("scoring", () => lm.score({ tokenIds: rows }));
    return lm;
  },
  async programs(folder) {
    const lm = await CausalLM.fromPreset(folder, { backend });
    lm.enableLora({ rank: 4, layout: "peft" });
    lm.compile({ optimizer: adamW({ learningRate: 1e-3 }) });
    const generate = () => lm.generateTokens(rows, { maxNewTokens: 4, stopTokenIds: [] });
    await note("training", () => lm.fit(dataset));
    await note("evaluation", () => lm.evaluate(dataset));
    await note("scoring", () => lm.score({ tokenIds: rows }));
    await note("generation", generate);
    await note("all again", async () => {
      await lm.fit(dataset, { epochs: 3 });
      await lm.evaluate(dataset);
      await generate();
    });
    return lm;
  },
  async decode(folder) {
    const lm = await CausalLM.fromPreset(folder, { backend });
    const before = keptBytes();
    const at = [30, 130, 400];
    const onProgress = ({ done }: { readonly done: number }) => {
      if (at.includes(done)) used[`token ${done}`] = keptBytes() - before;
    };
    // Logits are read for every token; the cache is as long as it begins, and then longer.
    await lm.generateTokens(rows, { maxNewTokens: at.at(-1)!, temperature: 1, stopTokenIds: [], onProgress });
    return lm;
  },
  async widen(folder) {
    used.most = 0;
    const onProgress = () => void (used.most = Math.max(used.most!, anonymousBytes() - start));
    return await CausalLM.fromPreset(folder, { backend, onProgress });
  },
  async quantize(folder) {
    used.most = 0;
    const files = residentBytes("RssFile");
    const onProgress = () => {
      used.most = Math.max(used.most!, anonymousBytes() - start + residentBytes("RssFile") - files);
    };
    return await CausalLM.fromPreset(folder, { backend, quantize: "int4", onProgress });
  },
  async shard(folder) {
    used.most = 0;
    const onProgress = () => void (used.most = Math.max(used.most!, anonymousBytes() - start));
    const devices = await openBackend("cpu", { deviceCount: 8 });
    const mesh = new DeviceMesh([2, 4], ["batch", "model"], devices.devices);
    const distribution = new ModelParallel({ layoutMap: GemmaBackbone.getLayoutMap(mesh), batchDimName: "batch" });
    return await CausalLM.fromPreset(folder, { backend: devices, distribution, onProgress });
  },
  async keep(folder) {
    const lm = await CausalLM.fromPreset(folder, { backend, dtype: "bfloat16" });
    await note("loading", () => {});
    return lm;
  },
};

const [scenario, folder] = Deno.args as [string, string];
const lm = await scenarios[scenario]!(folder);
const sizes = lm.variables.filter(({ path }) => !path.includes("lora")).map(({ bytes }) => bytes);
const weights = sizes.reduce((sum, bytes) => sum + bytes, 0);
console.log(JSON.stringify({ weights, largest: Math.max(...sizes), used }));
lm.dispose();
