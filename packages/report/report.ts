/**
 * The report of a run: one HTML page that needs nothing else, with the figures that matter first, then the curves, the answers
 * before and after, and everything needed to run it again.
 */
import { shardingSvg } from "@tessera/mesh";
import { formatBytes, formatCount, formatDuration, formatNumber } from "@tessera/text";
import type { DataFacts, Generation, MeshFacts, Plan, RunRecord, Score, VariableLayout } from "./record.ts";
import { learningRateChart, lossChart } from "./curve.ts";
import { type Content, Html, markup } from "./html.ts";
import { describeMesh } from "./mesh_text.ts";
import { imageRow, type ReportImages } from "./images.ts";
import { script, style } from "./style.ts";

const shownAnswers = 12;

/** A share as a percentage without the percent sign: `93.5`. */
function percentage(share: number): string {
  return String(Number((share * 100).toFixed(1)));
}

function figure(label: string, value: Content, note: Content = null, kind = ""): Html {
  return markup`<div class="${kind}"><dt>${label}</dt><dd>${value}${
    note !== null && markup`<small>${note}</small>`
  }</dd></div>`;
}

/** How well answered boxes fit; nothing where there are none. */
function boxNote(before: Score | null, after: Score | null): Html | null {
  const scores = [before?.boxes, after?.boxes].flatMap((boxes) => boxes ?? []);
  const overlap = scores.map((boxes) => `${percentage(boxes.overlap)}\u00a0%`).join(" → ");
  const total = formatCount(scores.at(-1)?.total ?? 0);
  return scores.length === 0
    ? null
    : markup`<span class="label">${overlap} mean overlap of ${total} boxes (intersection over union)</span>`;
}

function exactMatchFigure({ before, after }: RunRecord): Html | null {
  const [was, is] = [before?.exactMatch, after?.exactMatch];
  if (!was) return null;
  const value = is
    ? markup`<span class="from">${percentage(was.share)} → </span>${percentage(is.share)}<span class="unit"> %</span>`
    : markup`${percentage(was.share)}<span class="unit"> %</span>`;
  const note = is
    ? `${formatCount(was.right)} → ${formatCount(is.right)} of ${
      formatCount(is.total)
    } held-out answers right to the character`
    : `${formatCount(was.right)} of ${formatCount(was.total)} held-out answers right before training`;
  const [long, short] = [Math.max(was.share, is?.share ?? 0), was.share];
  const bar = markup`<div class="bar"><i style="width:${percentage(long)}%"></i><i class="was" style="width:${
    percentage(short)
  }%"></i></div>`;
  return markup`<div class="wide"><dt>Exact match on held-out examples</dt><dd>${value}</dd>${bar}<span class="label">${note}</span>${
    boxNote(before, after)
  }</div>`;
}

function change(before: Score | null, after: Score | null, pick: (score: Score) => string): Content {
  if (!before) return "–";
  return after ? markup`<span class="from">${pick(before)} → </span>${pick(after)}` : pick(before);
}

function wholeTime({ seconds, training: { resumedAfter } }: RunRecord): string {
  return `${formatDuration(seconds)} ${resumedAfter.length === 0 ? "in all" : "since it was resumed"}`;
}

function hero(record: RunRecord): Html {
  const { plan, training, before, after } = record;
  const share = plan.model.trainable / plan.model.parameters;
  return markup`<dl class="hero">${exactMatchFigure(record)}
${
    before
      ? figure("Held-out loss", change(before, after, ({ loss }) => formatNumber(loss)), "per token")
      : figure("Training loss", formatNumber(training.steps.at(-1)?.loss ?? NaN), "per token, last step")
  }
${figure("Trained", formatCount(plan.model.trainable), `parameters, ${percentage(share)}\u00a0% of the model`)}
${figure("Training time", formatDuration(training.seconds), wholeTime(record))}
${figure("Speed", formatCount(training.tokensPerSecond), "tokens/s in training")}
</dl>`;
}

/** An answer with what differs from the right one marked, where most of it is right: what lies between the equal ends. */
export function markDifference(answer: string, expected: string): Html {
  if (answer === expected) return markup`${answer}`;
  const [given, right] = [[...answer], [...expected]];
  const least = Math.min(given.length, right.length);
  let [start, end] = [0, 0];
  while (start < least && given[start] === right[start]) start++;
  while (end < least - start && given.at(-1 - end) === right.at(-1 - end)) end++;
  if (start + end <= given.length / 2) return markup`${answer}`;
  const [head, middle, tail] = [
    given.slice(0, start),
    given.slice(start, given.length - end),
    given.slice(given.length - end),
  ];
  return markup`${head.join("")}<mark>${middle.join("") || "…"}</mark>${tail.join("")}`;
}

function answer(name: string, text: string | null, expected: string): Html | null {
  if (text === null) return null;
  const isRight = text === expected;
  const mark = isRight ? markup`<b class="right" title="right">✓</b>` : markup`<b class="wrong" title="wrong">✗</b>`;
  const shown = text === ""
    ? markup`<em>nothing</em>`
    : markup`<code>${isRight ? text : markDifference(text, expected)}</code>`;
  return markup`<dt>${name}</dt><dd>${mark}${shown}</dd>`;
}

function answerList(generations: readonly Generation[], images: ReportImages): Html {
  const items = generations.map(({ prompt, image, expected, before, after }) =>
    markup`<li>${
      image !== undefined && imageRow(images.get(image), { expected, after: after ?? before })
    }<p>${prompt}</p><dl><dt>expected</dt><dd><code>${expected}</code></dd>${answer("before", before, expected)}${
      answer("after", after, expected)
    }</dl></li>\n`
  );
  return markup`<ul class="answers">${items}</ul>`;
}

function answers({ generations, after }: RunRecord, images: ReportImages): Html | null {
  if (generations.length === 0) return null;
  const rest = generations.slice(shownAnswers).filter((one) => one.after !== null && one.after !== one.expected);
  const wrong = after?.exactMatch ? after.exactMatch.total - after.exactMatch.right : 0;
  return markup`<h2>Answers to held-out prompts</h2>
<p class="soft">The first ${
    Math.min(shownAnswers, generations.length)
  } of ${generations.length}, in the order of the file${
    wrong > 0 && `; ${formatCount(wrong)} are still wrong`
  }. What differs from the right answer is marked.</p>
${answerList(generations.slice(0, shownAnswers), images)}
${
    rest.length > 0 &&
    markup`<details><summary>${
      rest.length > 20 ? `20 of ${rest.length}` : rest.length
    } more that are still wrong</summary><br>${answerList(rest.slice(0, 20), images)}</details>`
  }`;
}

/** The rows of a table of facts. */
type Rows = readonly (readonly [name: string, value: Content])[];

function table(title: string, rows: Rows): Html {
  return markup`<div><h3>${title}</h3><table>${
    rows.map(([name, value]) => markup`<tr><th scope="row">${name}</th><td>${value}</td></tr>`)
  }</table></div>`;
}

function dataRows(name: string, data: DataFacts): Rows {
  const shapes = data.shapes.map(({ shape, batches }) => `${formatCount(batches)} of ${shape.join(" × ")}`).join(", ");
  return [
    [name, data.source],
    ["Examples", `${formatCount(data.examples)}, ${formatCount(data.tokens)} tokens`],
    ["To learn", `${formatCount(data.targetTokens)} tokens`],
    ["Batches", `${shapes}; ${percentage(data.padding)}\u00a0% padding`],
  ];
}

function plannedMemory({ device }: Plan): string {
  return `weights ${formatBytes(device.weights)}, optimizer ${formatBytes(device.optimizer)}, activations ${
    formatBytes(device.activations)
  }`;
}

/** Which devices hold which slices of some variables: one drawing each, by the path within their block. */
function drawings(block: readonly VariableLayout[], mesh: MeshFacts): Html {
  const items = block.map(({ path, shape, dims }) => {
    const name = path.slice(path.indexOf("/") + 1);
    const svg = shardingSvg(shape, { dims, partial: [] }, mesh, { name, width: 440 });
    // Within a page the namespace is clear.
    return markup`<li>${new Html(svg.replace(/ xmlns="[^"]*"/, ""))}</li>\n`;
  });
  return markup`<ul class="shardings">${items}</ul>`;
}

function shardings({ mesh }: Plan): Html | null {
  const [first] = mesh?.block ?? [];
  if (mesh === null || first === undefined) return null;
  const isFactor = ({ path }: VariableLayout) => /\/lora_[^/]*$/.test(path);
  const factors = mesh.block.filter(isFactor);
  return markup`<h2>Weights on the mesh</h2>
<p class="soft">${describeMesh(mesh)}. Which of them hold which part of the weights in ${
    first.path.slice(0, first.path.indexOf("/"))
  }; the other blocks lie alike.</p>
${drawings(mesh.block.filter((variable) => !isFactor(variable)), mesh)}
${
    factors.length > 0 &&
    markup`<details><summary>The ${factors.length} factors of its adapters</summary><br>${
      drawings(factors, mesh)
    }</details>`
  }`;
}

function facts(record: RunRecord): Html {
  const { plan, config, environment, training } = record;
  const { model } = plan;
  const { lora } = config;
  return markup`<h2>How it was done</h2>
<div class="facts">
${
    table("Model", [
      ["Name", model.name],
      ["Preset", config.preset],
      ["Parameters", `${formatCount(model.parameters)}, ${config.dtype}`],
      [
        "Method",
        lora ? `LoRA, rank ${lora.rank}, alpha ${lora.alpha ?? lora.rank}, ${lora.layout} layout` : "all weights",
      ],
      ["Targets", lora ? lora.targets.join(", ") : "all"],
      ...(plan.mesh === null ? [] : [["Mesh", describeMesh(plan.mesh)] as const]),
      [plan.mesh === null ? "Planned memory" : "Planned per device", plannedMemory(plan)],
    ])
  }
${
    table("Training", [
      [
        "Steps",
        `${formatCount(training.steps.length)} of ${formatCount(plan.steps)}, ${
          formatCount(plan.stepsPerEpoch)
        } in an epoch`,
      ],
      ["Batch", `${config.training.batchSize} examples × ${config.training.gradientAccumulationSteps}`],
      [
        "Learning rate",
        `${config.training.learningRate}, ${config.training.schedule}, ${config.training.warmupSteps} steps of warm-up`,
      ],
      ["AdamW", `β ${config.training.beta1} and ${config.training.beta2}, decay ${config.training.weightDecay}`],
      ["First step after", formatDuration(training.secondsToFirstStep)],
      ...(training.resumedAfter.length === 0
        ? []
        : [["Resumed after", `step ${training.resumedAfter.map(formatCount).join(", ")}`] as const]),
      ["Seed", config.training.seed],
    ])
  }
${table("Training data", dataRows("File", plan.train))}
${plan.heldOut && table("Held-out data", dataRows("From", plan.heldOut))}
${
    table("Environment", [
      ["Tessera", environment.tessera],
      ["Deno", environment.deno],
      ["System", `${environment.system}, ${environment.processors} processors`],
      [
        "Backend",
        environment.threads === null ? environment.backend : `${environment.backend}, ${environment.threads} threads`,
      ],
      ["Peak memory", formatBytes(record.peakMemoryBytes)],
      ["Saved", `${record.saved.kind} in ${record.saved.folder}, ${formatBytes(record.saved.bytes)}`],
    ])
  }
</div>
<details><summary>Configuration</summary><pre>${JSON.stringify(config, null, 2)}</pre></details>`;
}

/** Writes the report of a run as one HTML page, with the images of its prompts. */
export function renderReport(record: RunRecord, images: ReportImages = new Map()): string {
  const { name, config, plan, training } = record;
  const method = config.lora ? `LoRA of rank ${config.lora.rank}` : "all weights trained";
  const page = markup`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="Tessera ${record.environment.tessera}">
<title>${name}: fine-tuning report</title>
<style>${new Html(style)}</style></head>
<body><main>
<header><h1>${name}</h1>
<p>${plan.model.name !== name && `${plan.model.name} · `}${method} · ${formatCount(training.steps.length)} steps on ${
    formatCount(plan.train.examples)
  } examples ·
<time datetime="${record.startedAt}">${record.startedAt.slice(0, 16).replace("T", " ")} UTC</time></p>
${
    training.interrupted &&
    markup`<p class="note">Ended by hand after ${training.steps.length} of ${plan.steps} steps; what it had learned was saved.</p>`
  }
</header>
${hero(record)}
<h2>Loss</h2>
${lossChart(training.steps, training.heldOut)}
<h2>Learning rate</h2>
${learningRateChart(training.steps)}
${answers(record, images)}
${shardings(plan)}
${facts(record)}
<footer>Made by Tessera ${record.environment.tessera}. Everything measured is in metrics.json beside this page.</footer>
</main><script>${new Html(script)}</script></body></html>
`;
  return page.markup;
}
