/** What tests of whole runs share: a checkpoint with random weights, some data, and a console that keeps what is printed. */
import { type CommandConsole, makeStyles } from "@tessera/cli";
import type { Progress } from "@tessera/text";
import { CausalLM, openBackend } from "tessera";
import { join } from "node:path";
import { type ConfigInput, configSchema } from "./job/config.ts";
import { runJob, type RunOptions, type RunResult } from "./run/run.ts";
import { tinyFolder } from "./job/tiny_config.ts";

/** A console that keeps what is printed. */
export function recordingConsole(
  onProgress: (label: string, done: number) => void = () => {},
): CommandConsole & { readonly lines: string[] } {
  const lines: string[] = [];
  const print = (text = "") => void lines.push(...text.split("\n"));
  return {
    width: 100,
    styles: makeStyles(false),
    lines,
    print,
    announce: print,
    progress: (label): Progress => ({ update: (done) => onProgress(label, done), print, done: () => {} }),
  };
}

/** A folder with a checkpoint of the tiny model's architecture, with random weights, and some data. */
export async function withWorkplace(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const backend = await openBackend("cpu", { threads: 1 });
    const lm = await CausalLM.fromPreset(tinyFolder, { backend, loadWeights: false, seed: 1 });
    await lm.saveToPreset(join(folder, "model"));
    await lm.dispose();
    backend.dispose();
    const records = Array.from(
      { length: 12 },
      (_, i) => JSON.stringify({ prompt: `Say ${i}`, response: `<${i}>` }) + "\n",
    );
    await Deno.writeTextFile(join(folder, "train.jsonl"), records.slice(0, 8).join(""));
    await Deno.writeTextFile(join(folder, "heldout.jsonl"), records.slice(8).join(""));
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Runs a job on the checkpoint and the data of a workplace. */
export function run(
  folder: string,
  changes: Partial<ConfigInput> = {},
  options: Partial<RunOptions> = {},
): Promise<RunResult> {
  const config = configSchema.parse({
    preset: join(folder, "model"),
    name: "trial",
    threads: 1,
    data: { train: join(folder, "train.jsonl"), heldOut: join(folder, "heldout.jsonl") },
    training: { epochs: 2, batchSize: 4, learningRate: 1e-2 },
    evaluation: { maxNewTokens: 4, samples: 1 },
    ...changes,
  });
  return runJob({ config: { ...config, name: "trial" }, output: null, stopped: null, finished: null, source: null }, {
    console: recordingConsole(),
    signal: new AbortController().signal,
    overwrite: false,
    planOnly: false,
    runs: join(folder, "runs"),
    ...options,
  });
}

/** The names in a folder, in order. */
export function namesIn(folder: string): string[] {
  return Array.from(Deno.readDirSync(folder), ({ name }) => name).sort();
}
