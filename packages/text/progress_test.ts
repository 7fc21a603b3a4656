import assert from "node:assert/strict";
import fc from "fast-check";
import { progress, type ProgressState, renderProgress } from "./progress.ts";
import { displayWidth } from "./width.ts";

const state: ProgressState = {
  label: "Epoch 1/3",
  done: 450,
  total: 1000,
  unit: "steps",
  elapsed: 50,
  rate: 10,
  fields: { loss: 2.34567, "tokens/s": 12345.6 },
};

Deno.test("renderProgress() shows everything when there is room", () => {
  assert.equal(
    renderProgress(state, 140),
    "Epoch 1/3  45% █████████████░░░░░░░░░░░░░░░░░ " +
      "450/1,000 steps · 55s left · loss 2.346 · tokens/s 12,346 · 10.00 steps/s",
  );
});

Deno.test("renderProgress() leaves out the least important parts first", () => {
  assert.equal(
    renderProgress(state, 80),
    "Epoch 1/3  45% ███████████░░░░░░░░░░░░░░ 450/1,000 steps · 55s left · loss 2.346",
  );
  assert.equal(renderProgress(state, 45), "Epoch 1/3  45% ██████░░░░░░░░ 450/1,000 steps");
  assert.equal(renderProgress(state, 24), "Epoch 1/3  45% ████░░░░░");
  assert.equal(renderProgress(state, 16), "Epoch 1/3  45%");
  assert.equal(renderProgress(state, 6), "Epoch…");
});

Deno.test("renderProgress() writes bytes with their units", () => {
  const bytes = {
    ...state,
    label: "Downloading",
    done: 3 * 2 ** 30,
    total: 12 * 2 ** 30,
    unit: "bytes",
    rate: 2 ** 25,
  };
  assert.equal(
    renderProgress({ ...bytes, fields: {} }, 100),
    "Downloading  25% ███████░░░░░░░░░░░░░░░░░░░░░░░ 3.00 GiB/12.0 GiB · 4m48s left · 32.0 MiB/s",
  );
});

Deno.test("renderProgress() shows the time taken at the end", () => {
  assert.equal(
    renderProgress({ ...state, done: 1000, elapsed: 125, rate: null, fields: {} }, 60),
    "Epoch 1/3 100% ████████████████ 1,000/1,000 steps · in 2m05s",
  );
});

Deno.test("renderProgress() has no bar when the total is not known", () => {
  assert.equal(
    renderProgress({ ...state, label: "Reading", total: null, unit: "lines", fields: {} }, 80),
    "Reading 450 lines · 50s so far · 10.00 lines/s",
  );
});

Deno.test("renderProgress() takes no work as finished", () => {
  assert.match(renderProgress({ ...state, done: 0, total: 0 }, 80), /100% █+ 0\/0 steps/);
});

Deno.test("renderProgress() never exceeds the width", () => {
  fc.assert(
    fc.property(
      fc.nat(2000),
      fc.option(fc.nat(1000)),
      fc.nat(200),
      fc.string({ maxLength: 20 }),
      (done, total, width, label) => {
        const line = renderProgress({ ...state, label, done, total, rate: done === 0 ? null : 3 }, width);
        assert.ok(displayWidth(line) <= width, `${line} in ${width} columns`);
      },
    ),
    { seed: 3 },
  );
});

function fakeStream(isTerminal: boolean) {
  const written: string[] = [];
  return { written, isTerminal, write: (text: string) => void written.push(text), columns: () => 60 };
}

Deno.test("progress() redraws a terminal line in place, at most every 50 ms", () => {
  const stream = fakeStream(true);
  let time = 0;
  const bar = progress({ total: 10, label: "Fit", unit: "steps", stream, now: () => time });
  for (time = 0; time <= 100; time += 10) bar.update(time / 10, {});
  bar.done();
  assert.equal(stream.written.length, 4);
  for (const frame of stream.written) {
    assert.ok(
      frame.startsWith("\x1b[?25l\r") && frame.endsWith("\x1b[?25h"),
      "the cursor comes back in the same write",
    );
    // deno-lint-ignore no-control-regex -- the codes are what is tested
    assert.ok(displayWidth(frame.replace(/\x1b\[\??[0-9]*[a-zA-Z]|[\r\n]/g, "")) <= 59);
  }
  assert.deepEqual(stream.written.map((frame) => frame.includes("\n")), [false, false, false, true]);
});

Deno.test("progress() prints plain lines elsewhere, seconds apart", () => {
  const stream = fakeStream(false);
  let time = 0;
  const bar = progress({ total: 1000, label: "Fit", unit: "steps", stream, width: 60, now: () => time });
  for (; time < 20_000; time += 100) bar.update(time / 100 + 1, { loss: 1 });
  bar.done();
  assert.equal(stream.written.length, 5);
  assert.equal(stream.written[1], "Fit   5% ░░░░░░░░░░ 51/1,000 steps · 1m35s left · loss 1.000\n");
});

Deno.test("progress() measures the speed of what is done since it started", () => {
  let [time, text] = [0, ""];
  const stream = { write: (more: string) => text += more, isTerminal: false, columns: () => 80 };
  const bar = progress({ total: 100, begin: 40, label: "Fit", unit: "steps", stream, now: () => time });
  time = 10_000;
  bar.update(45);
  assert.match(text, /45\/100 steps · 1m50s left · 0\.5000 steps\/s/);
});

Deno.test("progress() stays silent for a minute when little moves", () => {
  const stream = fakeStream(false);
  let time = 0;
  const bar = progress({ total: 100_000, label: "Fit", unit: "steps", stream, now: () => time });
  for (; time <= 120_000; time += 1000) bar.update(time / 1000, {});
  assert.equal(stream.written.length, 3);
});

Deno.test("progress() leaves the slow first step out of the rate", () => {
  const stream = fakeStream(false);
  let time = 0;
  const bar = progress({ total: 100, label: "Fit", unit: "steps", stream, now: () => time });
  const steps: [number, number][] = [[10_000, 1], [11_000, 2], [16_000, 7]];
  for (const [at, done] of steps) {
    time = at;
    bar.update(done);
  }
  assert.match(stream.written[0]!, /1\/100 steps · 16m30s left/);
  assert.match(stream.written[1]!, /7\/100 steps · 1m33s left/);
});

Deno.test("progress() prints text above the bar", () => {
  const stream = fakeStream(true);
  const bar = progress({ total: 2, label: "Fit", unit: "steps", stream, now: () => 0 });
  bar.print("Saved checkpoint");
  assert.equal(stream.written[0], "\r\x1b[KSaved checkpoint\n");
  assert.match(stream.written[1]!, /Fit {3}0%/);
});

Deno.test("progress() writes nothing when quiet, and nothing after the end", () => {
  const stream = fakeStream(true);
  const quiet = progress({ total: 2, label: "Fit", unit: "steps", stream, quiet: true });
  quiet.update(1);
  quiet.print("text");
  quiet.done();
  assert.equal(stream.written.length, 0);
  const ended = progress({ total: 2, label: "Fit", unit: "steps", stream, now: () => 0 });
  ended.done();
  ended.update(2);
  ended.done();
  assert.equal(stream.written.length, 1);
});
