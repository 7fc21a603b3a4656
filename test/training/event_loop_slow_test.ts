/**
 * Training leaves the event loop free: a timer of 10 ms is never more than 50 ms late.
 *
 * How late a timer is depends on how long code of ours holds the event loop, and on the machine: others may use its processors,
 * and a virtual machine may stand still as a whole. Only the first is ours. Linux says how long a thread waited for a processor,
 * and a thread that does nothing else than tick shows when the machine stood still; what either explains is taken off.
 * The first step of a shape counts, too: it traces the program and compiles it, in phases that let the event loop run.
 */
import assert from "node:assert/strict";
import { adamW, type CausalLM, createDataset, openBackend } from "tessera";
import { examplesOf, tinyModel } from "../support/models.ts";

const allowedMs = 50;
const backend = await openBackend("cpu");

/** How long this thread was ready to run and had no processor, in milliseconds since it began; 0 where nobody counts it. */
function waitedMs(): number {
  try {
    // https://docs.kernel.org/scheduler/sched-stats.html: nanoseconds on a processor, nanoseconds waiting, time slices
    return Number(Deno.readTextFileSync("/proc/thread-self/schedstat").split(" ")[1]) / 1e6;
  } catch {
    return 0;
  }
}

interface Lateness {
  /** The most that a tick came late, in milliseconds. */
  readonly raw: number;
  /** The same without what the machine explains. */
  readonly own: number;
  /** How often the timer fired. */
  readonly ticks: number;
}

/** When a tick was due and when it came, in milliseconds since 1970, and how long the thread waited for a processor in between. */
type Tick = readonly [due: number, came: number, waited: number];

/** Starts a timer of 10 ms; the function that it gives stops it and gives its ticks. */
function startTimer(waitedMs: () => number): () => Tick[] {
  const ticks: Tick[] = [];
  const now = () => performance.timeOrigin + performance.now();
  let [due, before] = [now() + 10, waitedMs()];
  let timer = setTimeout(tick, 10);
  function tick() {
    const waited = waitedMs();
    ticks.push([due, now(), waited - before]);
    [due, before] = [now() + 10, waited];
    timer = setTimeout(tick, 10);
  }
  return () => {
    clearTimeout(timer);
    return ticks;
  };
}

/** The same timer in a thread where nothing else runs. */
async function startReference(): Promise<() => Promise<Tick[]>> {
  const source = `${startTimer}
    const stop = startTimer(() => 0);
    self.onmessage = () => self.postMessage(stop());
    self.postMessage("ready");`;
  const worker = new Worker(`data:application/javascript,${encodeURIComponent(source)}`, { type: "module" });
  const answer = () => new Promise<MessageEvent>((resolve) => worker.onmessage = resolve);
  await answer();
  return async () => {
    const ticks = answer();
    worker.postMessage("stop");
    const { data } = await ticks;
    worker.terminate();
    return data;
  };
}

/** How late a timer of 10 ms is while something runs. */
async function latenessDuring(run: () => Promise<void>): Promise<Lateness> {
  const stopReference = await startReference();
  const stop = startTimer(waitedMs);
  await run();
  // A last tick must be able to come, else nobody would see what happened before it.
  await new Promise((resolve) => setTimeout(resolve, 30));
  const ticks = stop();
  const reference = await stopReference();
  const lates = ticks.map(([due, came, waited]) => {
    const overlaps = reference.map(([d, c]) => Math.min(c, came) - Math.max(d, due));
    const stoodStill = Math.max(0, ...overlaps);
    // After a long standstill threads wake up at different times, so such a tick says nothing.
    const own = stoodStill > 250 ? 0 : came - due - Math.max(waited, stoodStill);
    return { raw: came - due, own };
  });
  const most = (of: "raw" | "own") => lates.reduce((most, late) => Math.max(most, late[of]), 0);
  return { raw: most("raw"), own: most("own"), ticks: ticks.length };
}

function show(what: string, { raw, own, ticks }: Lateness): void {
  console.log(`${what}: ${ticks} ticks, the latest by ${raw.toFixed(1)} ms, of which ${own.toFixed(1)} ms are ours`);
}

/** A model whose step takes a third of a second or more on two cores. */
function largerModel(): CausalLM {
  return tinyModel(backend, {
    vocabularySize: 8000,
    numLayers: 4,
    numQueryHeads: 8,
    numKeyValueHeads: 4,
    hiddenDim: 512,
    intermediateDim: 4096,
    headDim: 64,
    slidingWindowSize: 64,
  });
}

const rows = Array.from({ length: 4 }, (_, row) => Array.from({ length: 128 }, (_, t) => (row * 997 + t * 31) % 8000));

Deno.test("the check sees 80 ms that hold the event loop", async () => {
  const lateness = await latenessDuring(async () => {
    await new Promise((resolve) => setTimeout(resolve, 50));
    const start = performance.now() - waitedMs();
    while (performance.now() - waitedMs() - start < 80);
  });
  show("Blocked on purpose", lateness);
  assert(lateness.own > allowedMs, `80 ms of blocking count as ${lateness.own} ms`);
});

for (
  const [what, lora, every] of [["an adapter", true, 1], ["an adapter, accumulating,", true, 2], [
    "all weights",
    false,
    1,
  ]] as const
) {
  Deno.test(`a timer is at most ${allowedMs} ms late while ${what} train`, async () => {
    const lm = largerModel();
    if (lora) lm.enableLora({ rank: 8, layout: "peft" });
    const dataset = createDataset(examplesOf(rows), { batchSize: 2, buckets: [128] });
    lm.compile({ optimizer: adamW({ learningRate: 1e-3 }), gradientAccumulationSteps: every });
    const first = await latenessDuring(async () => void await lm.fit(dataset, { maxSteps: 1 }));
    show(`First step of ${what} compilation included`, first);
    const start = performance.now();
    const later = await latenessDuring(async () => void await lm.fit(dataset, { epochs: 2 }));
    show(`Later steps of ${what} ${((performance.now() - start) * every / 4).toFixed(0)} ms each`, later);
    lm.dispose();
    assert(first.ticks > 5 && later.ticks > 20, `${first.ticks} and ${later.ticks} ticks came`);
    assert(first.own <= allowedMs, `a tick came ${first.own} ms late during the first step`);
    assert(later.own <= allowedMs, `a tick came ${later.own} ms late during training`);
  });
}

Deno.test(`a timer is at most ${allowedMs} ms late during evaluation and generation`, async () => {
  const lm = largerModel();
  const dataset = createDataset(examplesOf(rows), { batchSize: 2, buckets: [128] });
  const options = { maxNewTokens: 8, stopTokenIds: [] };
  await lm.evaluate(dataset);
  await lm.generateTokens(rows.slice(0, 2), { ...options, temperature: 1, topP: 0.9 });
  const lateness = await latenessDuring(async () => {
    await lm.evaluate(dataset);
    await lm.generateTokens(rows.slice(0, 2), { ...options, temperature: 1, topP: 0.9 });
  });
  show("Evaluation and generation", lateness);
  lm.dispose();
  assert(lateness.own <= allowedMs, `a tick came ${lateness.own} ms late`);
});
