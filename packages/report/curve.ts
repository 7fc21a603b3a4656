/**
 * The charts of a report: lines as SVG that stretches with the page, labels as HTML on top of it, which keeps its size, so that a
 * chart can be read on a phone as well as on paper.
 */
import type { HeldOutPoint, StepRecord } from "./record.ts";
import { type Content, Html, markup, scriptData } from "./html.ts";
import { linearScale, lossScale, type Scale, tickLabel } from "./scale.ts";

const [width, height] = [1000, 300];

/** A point of a line, in values of its axes. */
export type Point = readonly [x: number, y: number];

/** The `d` of an SVG path through points. */
export function linePath(points: readonly Point[], x: Scale, y: Scale): string {
  return points.map(([px, py], i) => {
    const [left, top] = [x.at(px) * width, (1 - y.at(py)) * height];
    return `${i === 0 ? "M" : "L"}${Number(left.toFixed(1))} ${Number(top.toFixed(1))}`;
  }).join("");
}

/**
 * Values smoothed by an exponential mean without its bias toward the start, over about `window` values.
 */
export function smooth(values: readonly number[], window: number): number[] {
  const keep = Math.max(0, 1 - 2 / (window + 1));
  let [sum, weight] = [0, 0];
  return values.map((value) => {
    sum = keep * sum + (1 - keep) * value;
    weight = keep * weight + (1 - keep);
    return sum / weight;
  });
}

/** At most `most` points of a line, the first and the last among them. */
function thin<T>(items: readonly T[], most: number): T[] {
  if (items.length <= most) return [...items];
  const stride = (items.length - 1) / (most - 1);
  return Array.from({ length: most }, (_, i) => items[Math.round(i * stride)]!);
}

function percent(part: number): string {
  return `${Number((part * 100).toFixed(2))}%`;
}

/** The frame of a chart with its grid and labels, around lines and what stands on top of them. */
function plot(x: Scale, y: Scale, lines: Content, marks: Content, label: string, id: string | null): Html {
  const grid = y.ticks.map((tick) => {
    const top = Number(((1 - y.at(tick)) * height).toFixed(1));
    return markup`<line x1="0" x2="${width}" y1="${top}" y2="${top}" class="grid"/>`;
  });
  return markup`<div class="plot"${id === null ? null : markup` id="${id}"`}>
<svg viewBox="0 0 ${width} ${height}" preserveAspectRatio="none" role="img" aria-label="${label}">${grid}${lines}</svg>
${y.ticks.map((tick) => markup`<span class="y" style="bottom:${percent(y.at(tick))}">${tickLabel(tick)}</span>`)}
${x.ticks.map((tick) => markup`<span class="x" style="left:${percent(x.at(tick))}">${tickLabel(tick)}</span>`)}
${marks}</div>`;
}

function stepScale(steps: readonly StepRecord[]): Scale {
  return linearScale(0, steps.at(-1)?.step ?? 1, { fit: true });
}

/** The chart of the losses over the steps, with what a pointer over it shows. */
export function lossChart(steps: readonly StepRecord[], heldOut: readonly HeldOutPoint[]): Html {
  const smoothed = smooth(steps.map(({ loss }) => loss), Math.max(1, steps.length / 25));
  const x = stepScale(steps);
  const y = lossScale([...steps, ...heldOut].map(({ loss }) => loss));
  const records = thin(steps.map((step, i) => ({ ...step, smoothed: smoothed[i]! })), 2000);
  const lines = markup`
<path class="raw" d="${linePath(records.map(({ step, loss }) => [step, loss]), x, y)}"/>
<path class="smooth" d="${linePath(records.map(({ step, smoothed }) => [step, smoothed]), x, y)}"/>
<path class="held" d="${linePath(heldOut.map(({ step, loss }) => [step, loss]), x, y)}"/>`;
  const dots = heldOut.map(({ step, loss }) =>
    markup`<i class="dot" style="left:${percent(x.at(step))};bottom:${percent(y.at(loss))}" title="held out, after ${
      step === 0 ? "no" : step
    } steps: ${Number(loss.toPrecision(4))}"></i>`
  );
  const hover = records.map(({ step, loss, smoothed, learningRate, tokensPerSecond }) => [
    step,
    Number(loss.toPrecision(5)),
    Number(smoothed.toPrecision(5)),
    Number(learningRate.toPrecision(4)),
    Math.round(tokensPerSecond),
    Number(x.at(step).toFixed(5)),
    Number(y.at(smoothed).toFixed(5)),
  ]);
  const marks = markup`${dots}<i class="cross" hidden></i><output class="tip" hidden></output>`;
  return markup`<figure>
<figcaption><span class="key raw">each step</span><span class="key smooth">smoothed</span>${
    heldOut.length > 0 && markup`<span class="key held">held out</span>`
  }<span class="axis">loss per token${y.isLogarithmic ? ", log scale" : null}</span></figcaption>
${plot(x, y, lines, marks, "Loss by step", "loss")}
<p class="below">optimizer step</p>
<script type="application/json" id="loss-data">${scriptData(hover)}</script>
</figure>`;
}

/** The small chart of the learning rate over the steps. */
export function learningRateChart(steps: readonly StepRecord[]): Html {
  const x = stepScale(steps);
  const y = linearScale(0, steps.reduce((most, { learningRate }) => Math.max(most, learningRate), 0), { ticks: 2 });
  const points = thin(steps, 500).map(({ step, learningRate }): Point => [step, learningRate]);
  return markup`<figure class="small">
${plot(x, y, markup`<path class="smooth" d="${linePath(points, x, y)}"/>`, null, "Learning rate by step", null)}
<p class="below">optimizer step</p>
</figure>`;
}
