/**
 * Training leaves the event loop free: a timer of 10 ms is never more than 50 ms late.
 *
 * How late a timer is depends on two things: how long our own code holds the event loop, and how long the operating system lets
 * this process wait for a processor. Only the first is ours. A worker thread therefore runs the same timer beside the one under
 * test: what makes both late at once is the machine, so a tick counts as late only as far as it is later than the worker's were
 * around that time.
 */
import assert from "node:assert/strict";
import { adamW, type CausalLM, createDataset, openBackend } from "tessera";
import { examplesOf, tinyModel } from "./support/models.ts";

const allowedMs = 50;
const backend = await openBackend("cpu");

/** A tick of a timer: when it was due and when it came, in milliseconds of the wall clock. */
type Tick = readonly [due: number, came: number];

/** Records ticks, 10 ms after each other, until it is told to stop. */
function startTimer(): () => Tick[] {
  const ticks: Tick[] = [];
  let due = performance.timeOrigin + performance.now() + 10;
  let timer = setTimeout(tick, 10);
  function tick() {
    const came = performance.timeOrigin + performance.now();
    ticks.push([due, came]);
    due = came + 10;
    timer = setTimeout(tick, 10);
  }
  return () => {
    clearTimeout(timer);
    return ticks;
  };
}

/** The same timer in a thread of its own, where nothing else runs. */
async function startReference(): Promise<() => Promise<Tick[]>> {
  const source = `${startTimer}
    const stop = startTimer();
    self.onmessage = () => self.postMessage(stop());
    self.postMessage("ready");`;
  const worker = new Worker(`data:application/javascript,${encodeURIComponent(source)}`, { type: "module" });
  const next = () => new Promise<MessageEvent>((resolve) => worker.onmessage = resolve);
  await next();
  return async () => {
    const answer = next();
    worker.postMessage("stop");
    const { data } = await answer;
    worker.terminate();
    return data;
  };
}

interface Lateness {
  /** The most that a tick came late, in milliseconds. */
  readonly raw: number;
  /** The same beyond what the machine made the reference late at that time. */
  readonly own: number;
  readonly ticks: number;
}

/** How late a timer is while something runs. */
async function latenessDuring(run: () => Promise<void>): Promise<Lateness> {
  const stopReference = await startReference();
  const stop = startTimer();
  // A last tick must be able to come, else nobody would see what happened before it.
  await run();
  await new Promise((resolve) => setTimeout(resolve, 30));
  const ticks = stop();
  const reference = await stopReference();
  let [raw, own] = [0, 0];
  for (const [due, came] of ticks) {
    const late = came - due;
    // What the reference lost between the time when the tick was due and the time when it came.
    const machine = reference.filter(([d, c]) => c > due && d < came).reduce(
      (sum, [d, c]) => sum + Math.max(0, c - d),
      0,
    );
    raw = Math.max(raw, late);
    own = Math.max(own, late - machine);
  }
  return { raw, own, ticks: ticks.length };
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
    const end = performance.now() + 80;
    while (performance.now() < end);
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
    assert(later.own <= allowedMs, `a tick came ${later.own} ms late during training`);
    assert(first.own <= allowedMs, `a tick came ${first.own} ms late during the first step`);
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
