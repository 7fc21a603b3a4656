/**
 * Generation on one CPU, batch 1: Tessera with float32, int8 and int4 weights, and Transformers on PyTorch with float32 and bfloat16
 * weights, from the same folder and the same prompt.
 *
 * The contestants are processes that generate in turn; the others are stopped meanwhile. A figure is the median over the rounds.
 */
import { parseArgs } from "node:util";
import { formatBytes, formatTable, nearestName } from "@tessera/text";
import { checkpointOf, type ShapeName, shapes } from "./generate_shape.ts";
import { type Peer, startPeer } from "./peer.ts";

const help = `deno task bench generate [--shape llama3.2_1b] [--prompt 256] [--new 64] [--threads 2] [--rounds 5]
    [--tessera float32,int8,int4] [--torch float32,bfloat16] [--logits] [--flat] [--json]

Reads a prompt and generates with random weights of Llama 3.2 1B's shape ("--shape small" to try it out), and compares tokens per
second of prefill and of decoding, and peak memory. --logits adds the change in logits against Tessera's in float32, --flat the time
per token at the 64th and at the 1024th token. TESSERA_PYTHON names the Python that has Transformers. The weights take 2.5 GB of disk,
and all contestants together some 20 GB of memory; leave some out by --tessera and --torch where there is less.`;

/** Where Tessera means to be: at least so many times as fast as a contestant, by the weights of both. */
const targets = [
  { ours: ["float32"], theirs: "float32", times: 2 },
  { ours: ["int8", "int4"], theirs: "bfloat16", times: 1 },
] as const;

interface Speed {
  readonly prefill: number;
  readonly decode: number;
}

interface Summary {
  readonly name: string;
  readonly firstStepSeconds: number;
  readonly peakRssBytes: number;
  readonly anonymousBytes: number;
  readonly flat?: { readonly at64: number; readonly at1024: number };
}

interface Contestant {
  readonly who: "tessera" | "torch";
  readonly weights: string;
  readonly peer: Peer;
  readonly blocks: Speed[];
}

interface Result extends Summary, Speed {
  readonly who: Contestant["who"];
  readonly weights: string;
  readonly blocks: readonly Speed[];
  /** The root mean square of the change in logits, as a share of the logits' own; `null` where it was not asked for. */
  readonly change: number | null;
}

const known = { tessera: ["float32", "int8", "int4"], torch: ["float32", "bfloat16"] } as const;

/** The entries of a list such as `int8,int4`; one that is not known is an error. */
function listed<T extends string>(text: string, flag: string, names: readonly T[]): T[] {
  return text.split(",").filter((name) => name !== "").map((name) => {
    const found = names.find((each) => each === name);
    if (found !== undefined) return found;
    const near = nearestName(name, names);
    const hint = near === null ? "" : `; did you mean "${near}"?`;
    throw new RangeError(`Cannot run the benchmark: --${flag} has no "${name}"${hint} It has ${names.join(", ")}`);
  });
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

async function run(args: readonly string[]): Promise<boolean> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      shape: { type: "string", default: "llama3.2_1b" },
      prompt: { type: "string", default: "256" },
      new: { type: "string", default: "64" },
      threads: { type: "string", default: "2" },
      rounds: { type: "string", default: "5" },
      tessera: { type: "string", default: known.tessera.join() },
      torch: { type: "string", default: known.torch.join() },
      logits: { type: "boolean", default: false },
      flat: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(help);
    return true;
  }
  const [shape] = listed(values.shape, "shape", shapes) as [ShapeName];
  const ours = listed(values.tessera, "tessera", known.tessera);
  const theirs = listed(values.torch, "torch", known.torch);
  const folder = await checkpointOf(shape);
  const scratch = await Deno.makeTempDir({ prefix: "tessera-bench-" });
  try {
    const settings = [
      "--checkpoint",
      folder,
      "--prompt",
      values.prompt,
      "--new",
      values.new,
      "--threads",
      values.threads,
    ];
    const flags = (who: string, weights: string) => [
      ...[...settings, "--weights", weights],
      ...(values.logits ? ["--logits", `${scratch}/${who}-${weights}`] : []),
    ];
    const contestants: Contestant[] = [];
    const enter = async (who: Contestant["who"], weights: string, command: string, args: readonly string[]) => {
      console.error(`Starting ${who}, ${weights} …`);
      const peer = await startPeer(command, args);
      peer.pause();
      contestants.push({ who, weights, peer, blocks: [] });
    };
    const script = new URL("./generate_tessera.ts", import.meta.url).pathname;
    for (const weights of ours) {
      const own = [...flags("tessera", weights), ...(values.flat ? ["--flat"] : [])];
      await enter("tessera", weights, Deno.execPath(), ["run", "-A", script, ...own]);
    }
    const python = Deno.env.get("TESSERA_PYTHON") ?? "python3";
    const oracle = new URL("../oracle/bench_generate.py", import.meta.url).pathname;
    for (const weights of theirs) {
      try {
        await enter("torch", weights, python, [oracle, ...flags("torch", weights)]);
      } catch (error) {
        console.error(`SKIPPED torch, ${weights}: ${(error as Error).message}\nSee test/oracle/README.md`);
      }
    }
    for (let round = 1; round <= Number(values.rounds); round++) {
      for (const { who, weights, peer, blocks } of contestants) {
        peer.resume();
        const block = await peer.report<Speed>(1);
        peer.pause();
        blocks.push(block);
        const shown = `prefill ${block.prefill.toFixed(1)}, decode ${block.decode.toFixed(1)} tokens/s`;
        console.error(`round ${round}: ${who}, ${weights}: ${shown}`);
      }
    }
    const results: Result[] = [];
    for (const { who, weights, peer, blocks } of contestants) {
      peer.resume();
      const summary = await peer.finish<Summary>();
      const speed = {
        prefill: median(blocks.map((one) => one.prefill)),
        decode: median(blocks.map((one) => one.decode)),
      };
      const change = values.logits
        ? await changeInLogits(`${scratch}/${who}-${weights}`, `${scratch}/tessera-float32`)
        : null;
      results.push({ ...summary, ...speed, who, weights, blocks, change });
    }
    return report(results, values.json);
  } finally {
    await Deno.remove(scratch, { recursive: true });
  }
}

/** How far logits are from others, by root mean squares; `null` when the others were not computed. */
async function changeInLogits(file: string, reference: string): Promise<number | null> {
  const read = async (path: string) => new Float32Array((await Deno.readFile(path)).buffer);
  const [found, expected] = await Promise.all([read(file), read(reference).catch(() => null)]);
  if (expected === null) return null;
  let [off, all] = [0, 0];
  expected.forEach((logit, i) => {
    off += (found[i]! - logit) ** 2;
    all += logit ** 2;
  });
  return Math.sqrt(off / all);
}

function checksOf(results: readonly Result[]) {
  const find = (who: Contestant["who"], weights: string) =>
    results.find((result) => result.who === who && result.weights === weights);
  return targets.flatMap(({ ours, theirs, times }) => {
    const peer = find("torch", theirs);
    const own = ours.flatMap((weights) => find("tessera", weights) ?? []);
    if (peer === undefined || own.length === 0) return [];
    return (["prefill", "decode"] as const).map((phase) => {
      const best = own.reduce((a, b) => a[phase] >= b[phase] ? a : b);
      const ratio = best[phase] / peer[phase];
      return {
        what: `${phase} at ${times === 1 ? "more than" : `least ${times} ×`} the tokens/s of ${peer.name}`,
        found: `${ratio.toFixed(2)} × by ${best.name}`,
        ok: times === 1 ? ratio > 1 : ratio >= times,
      };
    });
  });
}

function report(results: readonly Result[], json: boolean): boolean {
  const checks = [
    ...checksOf(results),
    ...results.flatMap(({ name, flat }) =>
      flat === undefined ? [] : [{
        what: `time per token flat in the position, ${name}`,
        found: `${flat.at64.toFixed(2)} ms at token 64, ${flat.at1024.toFixed(2)} ms at 1024: ` +
          `${(flat.at1024 / flat.at64).toFixed(3)} ×, attention's own reads included`,
        ok: flat.at1024 <= 1.15 * flat.at64,
      }]
    ),
  ];
  if (json) console.log(JSON.stringify({ results, checks }, null, 2));
  else {
    const range = (values: readonly number[]) => `${Math.min(...values).toFixed(1)}–${Math.max(...values).toFixed(1)}`;
    const rows = results.map((
      { name, prefill, decode, blocks, peakRssBytes, anonymousBytes, firstStepSeconds, change },
    ) => [
      name,
      prefill.toFixed(1),
      range(blocks.map((block) => block.prefill)),
      decode.toFixed(2),
      range(blocks.map((block) => block.decode)),
      formatBytes(peakRssBytes),
      formatBytes(anonymousBytes),
      `${firstStepSeconds.toFixed(1)} s`,
      change === null ? "" : `${(100 * change).toFixed(2)} %`,
    ]);
    const right = (header: string) => ({ header, align: "right" as const });
    console.log(formatTable(rows, {
      columns: [
        { header: "" },
        ...[right("prefill tokens/s"), right("range"), right("decode tokens/s"), right("range"), right("peak memory")],
        ...[right("not mapped"), right("first token"), right("change in logits")],
      ],
    }));
    for (const { what, found, ok } of checks) console.log(`${ok ? "met   " : "MISSED"}  ${what}: ${found}`);
  }
  return checks.every(({ ok }) => ok);
}

/** The generation benchmark. */
export const generate = {
  purpose:
    "generation on the shape of Llama 3.2 1B: Tessera in float32, int8 and int4, PyTorch in float32 and bfloat16",
  run,
};
