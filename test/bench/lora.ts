/**
 * LoRA fine-tuning in float32 on one CPU: Tessera, PyTorch with PEFT, and Keras on JAX, on the same weights and the same batch.
 *
 * The contestants are processes that live side by side and run blocks of steps in turn; the others are stopped meanwhile. A figure is
 * the median over the blocks.
 */
import { parseArgs } from "node:util";
import { initialize } from "@tessera/nn";
import { formatBytes, formatTable } from "@tessera/text";
import { GemmaCausalLM, openBackend } from "tessera";
import { shape } from "./lora_shape.ts";
import { type Peer, startPeer, type Summary } from "./peer.ts";

const targets = { torch: 1.8, keras: 1.15 };
const oracle = new URL("../oracle/", import.meta.url).pathname;
const install =
  "python3 -m venv .venv && .venv/bin/pip install -r test/oracle/requirements.txt, then TESSERA_PYTHON=.venv/bin/python";

const help = `deno task bench lora [--batch 2] [--time 256] [--rank 8] [--threads 2] [--rounds 5] [--steps 3] [--json]

Trains a Gemma 2 of 222 million parameters with LoRA on the query and value projections, in float32, and compares tokens per second,
peak memory and the time to the first step with PyTorch + PEFT and Keras on JAX. TESSERA_PYTHON names the Python that has them.`;

/** The folder of random weights that all contestants load; made once and kept. */
async function checkpoint(): Promise<string> {
  const folder = new URL("../../runs/bench/gemma2_222m", import.meta.url).pathname;
  try {
    await Deno.stat(`${folder}/config.json`);
    return folder;
  } catch {
    console.error(`Making random weights in ${folder} (0.9 GB) …`);
  }
  const backend = await openBackend("cpu");
  const lm = GemmaCausalLM.fromConfig(shape, { backend });
  initialize(lm.variables, backend, { seed: 0 });
  await lm.saveToPreset(folder);
  lm.dispose();
  backend.dispose();
  return folder;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

interface Contestant {
  readonly key: "tessera" | "torch" | "keras";
  readonly start: () => Promise<Peer>;
}

interface Result extends Summary {
  readonly key: Contestant["key"];
  readonly tokensPerSecond: number;
  readonly blocks: readonly number[];
}

async function run(args: readonly string[]): Promise<boolean> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      batch: { type: "string", default: "2" },
      time: { type: "string", default: "256" },
      rank: { type: "string", default: "8" },
      threads: { type: "string", default: "2" },
      rounds: { type: "string", default: "5" },
      steps: { type: "string", default: "3" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(help);
    return true;
  }
  const python = Deno.env.get("TESSERA_PYTHON") ?? "python3";
  const folder = await checkpoint();
  const common = ["--batch", values.batch, "--time", values.time, "--rank", values.rank, "--threads", values.threads];
  const flags = [...common, "--checkpoint", folder];
  const scripted = (script: string) => () => startPeer(python, [`${oracle}${script}`, ...flags, "--interleave"]);
  const contestants: readonly Contestant[] = [
    {
      key: "tessera",
      start: () =>
        startPeer(Deno.execPath(), ["run", "-A", new URL("./lora_tessera.ts", import.meta.url).pathname, ...flags]),
    },
    { key: "torch", start: scripted("bench_torch.py") },
    { key: "keras", start: scripted("bench_keras.py") },
  ];
  const running: { key: Contestant["key"]; peer: Peer; blocks: number[] }[] = [];
  for (const { key, start } of contestants) {
    console.error(`Starting ${key} …`);
    try {
      const peer = await start();
      running.push({ key, peer, blocks: [] });
      peer.pause();
    } catch (error) {
      if (key === "tessera") throw error;
      console.error(`SKIPPED ${key}: ${(error as Error).message}\nTo install it: ${install}`);
    }
  }
  for (let round = 1; round <= Number(values.rounds); round++) {
    for (const { key, peer, blocks } of running) {
      peer.resume();
      blocks.push(await peer.block(Number(values.steps)));
      peer.pause();
      console.error(`round ${round}: ${key} ${blocks.at(-1)!.toFixed(1)} tokens/s`);
    }
  }
  const results: Result[] = [];
  for (const { key, peer, blocks } of running) {
    peer.resume();
    results.push({ ...await peer.finish(), key, blocks, tokensPerSecond: median(blocks) });
  }
  return report(results, Number(values.batch) * Number(values.time), values.json);
}

/** How near a contestant comes to the time that its matrix products alone would take at their best. */
function describeFloor({ floor, tokensPerSecond }: Result, tokensPerStep: number): string {
  if (floor === undefined) return "";
  const { operations, peakPerSecond } = floor;
  const reached = operations * tokensPerSecond / tokensPerStep / peakPerSecond;
  return `floor   ${(operations / 1e9).toFixed(0)} GFLOP per step in matrix products; one product by itself reaches ` +
    `${(peakPerSecond / 1e9).toFixed(0)} GFLOP/s, a bound of ${
      (tokensPerStep * peakPerSecond / operations).toFixed(0)
    } ` +
    `tokens/s; the step reaches ${(100 * reached).toFixed(0)} % of it`;
}

function report(results: readonly Result[], tokensPerStep: number, json: boolean): boolean {
  const [us, ...peers] = results as [Result, ...Result[]];
  const leanest = Math.min(...peers.map(({ peakRssBytes }) => peakRssBytes));
  const keras = peers.find(({ key }) => key === "keras");
  const checks = [
    ...peers.map(({ key, name, tokensPerSecond }) => ({
      what: `at least ${targets[key as "torch" | "keras"]} × ${name}'s tokens/s`,
      found: `${(us.tokensPerSecond / tokensPerSecond).toFixed(2)} ×`,
      ok: us.tokensPerSecond >= targets[key as "torch" | "keras"] * tokensPerSecond,
    })),
    ...(peers.length === 0 ? [] : [{
      what: "no more memory than the leaner peer",
      found: `${(us.peakRssBytes / leanest).toFixed(2)} ×`,
      ok: us.peakRssBytes <= leanest,
    }]),
    ...(keras === undefined ? [] : [{
      what: `sooner to the first step than ${keras.name}`,
      found: `${us.firstStepSeconds.toFixed(1)} s, not ${keras.firstStepSeconds.toFixed(1)} s`,
      ok: us.firstStepSeconds < keras.firstStepSeconds,
    }]),
  ];
  if (json) console.log(JSON.stringify({ results, checks }, null, 2));
  else {
    const rows = results.map(({ name, tokensPerSecond, blocks, peakRssBytes, firstStepSeconds, losses }) => [
      name,
      tokensPerSecond.toFixed(1),
      `${Math.min(...blocks).toFixed(0)}–${Math.max(...blocks).toFixed(0)}`,
      `${(us.tokensPerSecond / tokensPerSecond).toFixed(2)} ×`,
      formatBytes(peakRssBytes),
      `${firstStepSeconds.toFixed(1)} s`,
      losses[0]!.toFixed(4),
    ]);
    console.log(formatTable(rows, {
      columns: [
        { header: "" },
        { header: "tokens/s", align: "right" },
        { header: "range", align: "right" },
        { header: "Tessera is", align: "right" },
        { header: "peak memory", align: "right" },
        { header: "first step", align: "right" },
        { header: "first loss", align: "right" },
      ],
    }));
    console.log(describeFloor(us, tokensPerStep));
    for (const { what, found, ok } of checks) console.log(`${ok ? "met   " : "MISSED"}  ${what}: ${found}`);
  }
  return checks.every(({ ok }) => ok);
}

/** The LoRA benchmark. */
export const lora = {
  purpose: "LoRA training of a 222M Gemma 2 in float32: Tessera, PyTorch + PEFT, Keras on JAX",
  run,
};
