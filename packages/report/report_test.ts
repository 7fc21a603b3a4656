import assert from "node:assert/strict";
import { linePath, smooth } from "./curve.ts";
import { markup, scriptData } from "./html.ts";
import { markDifference, renderReport } from "./report.ts";
import { linearScale, logScale, lossScale, tickLabel } from "./scale.ts";
import { sampleRecord } from "./testing/sample_record.ts";

Deno.test("markup`` escapes text and keeps markup", () => {
  const text = `<b title="x">&'`;
  assert.equal(
    markup`<i>${text}${markup`<b>${1}</b>`}${null}${false}${["a", "<"]}</i>`.markup,
    "<i>&lt;b title=&quot;x&quot;&gt;&amp;&#39;<b>1</b>a&lt;</i>",
  );
});

Deno.test("scriptData() cannot end its element", () => {
  const json = scriptData({ text: "</script><!--" }).markup;
  assert.ok(!json.includes("<"));
  assert.deepEqual(JSON.parse(json), { text: "</script><!--" });
});

Deno.test("renderReport() lets no text of the data or the job become markup", () => {
  const attack = `<script>alert("x")</script><img src=x onerror=alert(1)>`;
  const record = sampleRecord();
  const page = renderReport({
    ...record,
    name: attack,
    plan: {
      ...record.plan,
      model: { ...record.plan.model, name: attack },
      train: { ...record.plan.train, source: attack },
    },
    generations: [{ prompt: attack, expected: attack, before: `${attack}!`, after: attack }],
    saved: { ...record.saved, folder: attack },
    environment: { ...record.environment, system: attack },
    config: { ...record.config, preset: attack, lora: { ...record.config.lora!, targets: [attack] } },
  });
  assert.ok(!page.includes("<img"));
  assert.equal(page.match(/<script/g)?.length, 2, "the data of the chart and the script that shows it");
  assert.ok(page.includes("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;"));
});

Deno.test("renderReport() has the overlap of boxes where answers have boxes", () => {
  const record = sampleRecord();
  const scored = (overlap: number) => ({ ...record.before!, boxes: { overlap, total: 40 } });
  const page = renderReport({ ...record, before: scored(0.25), after: scored(0.875) });
  assert.match(page, /25\u00a0% → 87\.5\u00a0% mean overlap of 40 boxes/);
  assert.doesNotMatch(renderReport(record), /mean overlap/);
});

Deno.test("renderReport() needs nothing else", () => {
  const page = renderReport(sampleRecord(30));
  assert.doesNotMatch(page, /(?:src|href)=|url\(|@import|https?:/);
  assert.match(page, /^<!doctype html>/);
});

Deno.test("renderReport() opens and closes its elements in order", () => {
  const page = renderReport(sampleRecord(30)).replaceAll(/<(style|script)[^>]*>.*?<\/\1>/gs, "").replace(
    "<!doctype html>",
    "",
  );
  const open: string[] = [];
  for (const [, end, name, self] of page.matchAll(/<(\/?)([a-z0-9]+)(?:\s(?:[^<>"]|"[^"]*")*?)?(\/?)>/g)) {
    if (self || ["meta", "br"].includes(name!)) continue;
    if (end) assert.equal(open.pop(), name);
    else open.push(name!);
  }
  assert.deepEqual(open, []);
});

Deno.test("renderReport() tells the figures that matter", () => {
  const page = renderReport(sampleRecord());
  assert.match(page, /0 → <\/span\s*>93\.5/);
  assert.match(page, /187 of 200/);
  assert.match(page, /11,234/);
  assert.match(page, /title="right"/);
  assert.match(page, /<mark>07<\/mark>/);
});

Deno.test("renderReport() manages without held-out examples and with a run that was ended", () => {
  const { training, plan } = sampleRecord();
  const page = renderReport(sampleRecord(4, {
    before: null,
    after: null,
    generations: [],
    plan: { ...plan, heldOut: null },
    training: { ...training, heldOut: [], interrupted: true },
  }));
  assert.match(page, /Ended by hand after 4 of 4 steps/);
  assert.doesNotMatch(page, /NaN|undefined|Exact match|Held-out/);
});

Deno.test("renderReport() draws where the weights of a block lie", () => {
  const { plan } = sampleRecord();
  const mesh = {
    axes: [{ name: "batch", size: 2 }, { name: "model", size: 2 }],
    devices: ["cpu:0", "cpu:1", "cpu:2", "cpu:3"],
    block: [
      { path: "decoder_block_0/ffw_gating/kernel", shape: [64, 256], dims: [["batch"], ["model"]] },
      { path: "decoder_block_0/ffw_gating/lora_kernel_b", shape: [8, 256], dims: [[], ["model"]] },
    ],
  };
  const page = renderReport(sampleRecord(4, { plan: { ...plan, mesh } }));
  assert.match(page, /batch 2 × model 2 = 4 devices/);
  assert.match(page, /<svg viewBox[^>]*class="sharding"[^]*>ffw_gating\/kernel</);
  assert.match(page, /factors of its adapters/);
  assert.equal(page.match(/<rect class="box"/g)?.length, 4 + 2);
  assert.doesNotMatch(page, /https?:/);
  assert.doesNotMatch(renderReport(sampleRecord()), /Weights on the mesh/);
});

Deno.test("renderReport() draws a run of one step", () => {
  assert.doesNotMatch(renderReport(sampleRecord(1)), /NaN|undefined|Infinity/);
});

Deno.test("linePath() is what it was", () => {
  const [x, y] = [linearScale(0, 4, { fit: true }), linearScale(0, 2)];
  assert.equal(linePath([[0, 2], [1, 1.5], [2, 1], [4, 0]], x, y), "M0 0L250 75L500 150L1000 300");
});

Deno.test("smooth() starts at the first value and follows the rest", () => {
  assert.deepEqual(smooth([3, 1], 1), [3, 1]);
  const smoothed = smooth([4, 4, 4, 0, 0, 0], 3);
  assert.deepEqual(smoothed.slice(0, 3), [4, 4, 4]);
  assert.ok(smoothed[3]! > smoothed[4]! && smoothed[4]! > smoothed[5]! && smoothed[5]! > 0);
});

Deno.test("scales have round ticks inside their range", () => {
  assert.deepEqual(linearScale(0, 375, { fit: true }).ticks, [0, 100, 200, 300]);
  assert.deepEqual(linearScale(0, 0.3).ticks, [0, 0.1, 0.2, 0.3]);
  assert.deepEqual(linearScale(0, 7.158).ticks, [0, 2, 4, 6, 8]);
  assert.deepEqual(logScale(0.02, 3).ticks, [0.03, 0.1, 0.3, 1, 3]);
  assert.equal(lossScale([3, 0.01]).isLogarithmic, true);
  assert.equal(lossScale([3, 1]).isLogarithmic, false);
  assert.deepEqual([linearScale(5, 5, { fit: true }).at(5), lossScale([]).ticks.length > 0], [0, true]);
  assert.deepEqual([0, 0.05, 2, 1e-4].map(tickLabel), ["0", "0.05", "2", "1e-4"]);
});

Deno.test("markDifference() marks what differs where most is right", () => {
  assert.equal(markDifference("at 07:30 sharp", "at 19:30 sharp").markup, "at <mark>07</mark>:30 sharp");
  assert.equal(markDifference("abcdef", "abcxyzdef").markup, "abc<mark>…</mark>def");
  assert.equal(markDifference("nothing alike", "xyz").markup, "nothing alike");
  assert.equal(markDifference("<", "<").markup, "&lt;");
});
