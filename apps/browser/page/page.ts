/** The page: shows what the worker does, and tells it what the user wants. */
import { formatBytes, formatCount, formatDuration } from "@tessera/text";
import { finetuning } from "@tessera/tiny";
import { adviceFor, isEngineGone } from "./advice.ts";
import { Answers } from "./answers.ts";
import { drawLosses } from "./chart.ts";
import { Client } from "./client.ts";
import { find, make } from "./dom.ts";
import { downloadZip } from "./download.ts";
import type { ModelFacts, Plan, Settings } from "./facts.ts";
import type { EngineFacts, Stage, WorkEvent } from "./messages.ts";
import { Pace } from "./pace.ts";
import { acceptFiles } from "./pick.ts";
import { Talk } from "./talk.ts";

const [steps, batchSize, learningRate, rank, maxLength, seed, chat] = [
  "steps",
  "batchSize",
  "learningRate",
  "rank",
  "maxLength",
  "seed",
  "chat",
].map((id) => find(id, HTMLInputElement)) as [
  HTMLInputElement,
  HTMLInputElement,
  HTMLInputElement,
  HTMLInputElement,
  HTMLInputElement,
  HTMLInputElement,
  HTMLInputElement,
];
const setup = find("setup", HTMLFormElement);
const [start, stop, save] = ["start", "stop", "save"].map((id) => find(id, HTMLButtonElement)) as [
  HTMLButtonElement,
  HTMLButtonElement,
  HTMLButtonElement,
];
const text = (id: string) => find(id, HTMLElement);
const bar = find("bar", HTMLProgressElement);

/** The model and the examples that the user chose; null for those that the page ships. */
const chosen: { model: File[] | null; data: File | null } = { model: null, data: null };
let model: ModelFacts | null = null;
let client = connect();
let engine: EngineFacts | null = null;
let [losses, pace]: [number[], Pace] = [[], new Pace()];
let busy = false;
let [isPlanning, isPlanStale] = [false, false];

const answers = new Answers(find("answers", HTMLOListElement), text("score"));
const talk = new Talk({
  ask: async (messages) => {
    const answer = await work(() => client.call("ask", { messages, chat: chat.checked }));
    if (answer === null && isEngineGone(text("problem-text").textContent)) await reconnect();
    return answer;
  },
  isChat: () => chat.checked,
  stop: () => void client.call("stop", null),
});

function connect(): Client {
  return new Client(new URL("worker.js", document.baseURI), onEvent);
}

const stages: Readonly<Record<Stage, (done: number, total: number) => string>> = {
  load: (done, total) => `Loading weights: ${done} of ${total} tensors`,
  before: (done, total) => `Asking before training: ${done} of ${total}`,
  train: (done, total) => `Training: step ${done} of ${total}`,
  after: (done, total) => `Asking after training: ${done} of ${total}`,
};

function showStage(stage: Stage, done: number, total: number): void {
  text("stage").textContent = stages[stage](done, total);
  [bar.value, bar.max] = [done, total];
}

function onEvent(event: WorkEvent): void {
  if (event.kind === "progress") {
    showStage(event.stage, event.done, event.total);
    if (event.stage === "before" && event.done === event.total) {
      showStage("train", 0, Number(steps.value));
      text("rate").textContent = "The first step prepares the GPU’s programs and takes longer.";
    }
  } else if (event.kind === "step") {
    const { step, steps, loss, tokens } = event.facts;
    losses.push(loss);
    pace.add(tokens, performance.now());
    showStage("train", step, steps);
    const speed = pace.describe(steps - step, "step");
    text("rate").textContent = `loss ${loss.toFixed(3)}${speed === "" ? "" : ` · ${speed}`}`;
    showLosses(steps);
  } else if (event.kind === "answer") {
    answers.show(event.when, event.question, event.text, event.ended);
  } else {
    talk.add(event.text);
  }
}

/** Draws the losses so far, out of `steps`, and writes them down for those who cannot see the curve, or want it exact. */
function showLosses(steps: number): void {
  text("axis").textContent = drawLosses(text("plot"), losses, steps);
  const lines = losses.map((loss, i) => `step ${i + 1}: ${loss.toFixed(6)}`);
  text("losses").textContent = lines.join("\n") || "No steps yet";
}

/** Does one thing at a time, and shows what went wrong; gives null then. */
async function work<T>(run: () => Promise<T>): Promise<T | null> {
  setBusy(true);
  find("problem", HTMLElement).hidden = true;
  try {
    return await run();
  } catch (error) {
    showProblem(error as Error);
    return null;
  } finally {
    setBusy(false);
  }
}

function setBusy(value: boolean): void {
  busy = value;
  const ready = model !== null && !busy;
  start.disabled = !ready;
  find("ask", HTMLButtonElement).disabled = !ready;
  for (const id of ["model-folder", "data-file"]) find(id, HTMLInputElement).disabled = busy;
  for (const id of ["model-shipped", "data-shipped"]) find(id, HTMLButtonElement).disabled = busy;
}

/** Scrolls to a section of the page, unless it is in view. */
function show(id: string): void {
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  find(id, HTMLElement).scrollIntoView({ block: "nearest", behavior: isCalm ? "auto" : "smooth" });
}

function showProblem({ message }: Error): void {
  find("problem", HTMLElement).hidden = false;
  text("problem-text").textContent = message;
  text("problem-advice").textContent = adviceFor(message);
  show("problem");
}

function settings(): Settings {
  const [columns, longest] = [Number(rank.value), Number(maxLength.value)];
  return {
    steps: Number(steps.value),
    batchSize: Number(batchSize.value),
    learningRate: Number(learningRate.value),
    rank: columns,
    alpha: columns * finetuning.alpha / finetuning.rank,
    targets: finetuning.targets,
    maxLength: longest,
    seed: Number(seed.value),
    chat: chat.checked,
  };
}

/** Fills in the settings that suit a model: those of the tiny one's recipe, or cautious ones. */
function suggest(facts: ModelFacts): void {
  const isShipped = chosen.model === null;
  const isSlow = engine?.backend === "tfjs-cpu";
  steps.value = isSlow ? "4" : isShipped ? "200" : "100";
  batchSize.value = isSlow ? "2" : isShipped ? String(finetuning.batchSize) : "4";
  learningRate.value = isShipped ? String(finetuning.learningRate) : "0.0002";
  rank.value = isShipped ? String(finetuning.rank) : "8";
  maxLength.value = String(Math.min(facts.contextLength, isShipped ? finetuning.sequenceLength : 256));
  maxLength.max = String(facts.contextLength);
  seed.value = String(finetuning.seed);
  // The tiny model was not tuned to follow instructions, though its tokenizer has a template.
  chat.checked = facts.hasChatTemplate && !isShipped;
  chat.disabled = !facts.hasChatTemplate;
}

async function chooseModel(files: File[] | null): Promise<void> {
  await work(async () => {
    const facts = await client.call("outline", files);
    chosen.model = files;
    showModel(facts);
    suggest(facts);
    await showPlan();
  });
}

function showModel(facts: ModelFacts): void {
  model = facts;
  const { name, architecture, parameters, layers, contextLength, weightBytes } = facts;
  text("model-name").textContent = name;
  text("model-facts").textContent = `${architecture} · ${formatCount(parameters)} parameters · ${layers} layers · ` +
    `context ${formatCount(contextLength)} · weights ${formatBytes(weightBytes)}`;
  find("model-shipped", HTMLButtonElement).hidden = chosen.model === null;
  save.hidden = true;
  answers.clear();
  talk.clear();
}

async function chooseData(file: File | null): Promise<void> {
  await work(async () => {
    const { source, count, questions } = await client.call("examples", file);
    chosen.data = file;
    text("data-name").textContent = file === null ? "Appointments" : source;
    text("data-facts").textContent = `${formatCount(count)} examples` +
      (file === null ? ": a message about an appointment, and strict JSON of what it says" : "");
    find("data-shipped", HTMLButtonElement).hidden = file === null;
    answers.ask(questions);
    if (model !== null) await showPlan();
  });
}

function planLines(plan: Plan): (readonly [label: string, value: string])[] {
  const { trainable, weightBytes, adapterBytes, activationBytes, fileBytes, examples, tokens, epochs, truncated } =
    plan;
  const share = (100 * trainable / model!.parameters).toPrecision(2);
  return [
    ["Trained", `${formatCount(trainable)} parameters (${share} %)`],
    [
      "Memory",
      `about ${formatBytes(weightBytes + adapterBytes + activationBytes)}: weights ${formatBytes(weightBytes)}, ` +
      `adapter and optimizer ${formatBytes(adapterBytes)}, activations ${formatBytes(activationBytes)}`,
    ],
    [
      "Data",
      `${formatCount(examples)} examples of ${formatCount(tokens)} tokens, seen ${Number(epochs.toPrecision(2))} times`,
    ],
    ...(truncated > 0 ? [["Cut short", `${formatCount(truncated)} examples`] as const] : []),
    ["Saved as", `a PEFT adapter of ${formatBytes(fileBytes)}`],
  ];
}

async function showPlan(): Promise<void> {
  if (!setup.checkValidity()) return;
  const lines = planLines(await client.call("plan", settings()));
  find("plan", HTMLElement).replaceChildren(
    ...lines.flatMap(([label, value]) => [make("dt", "", label), make("dd", "", value)]),
  );
  if (losses.length === 0) showLosses(Number(steps.value));
}

/** Plans anew for changed settings; those that change meanwhile are planned for afterwards. */
async function replan(): Promise<void> {
  isPlanStale = true;
  if (isPlanning) return;
  isPlanning = true;
  try {
    while (isPlanStale) {
      isPlanStale = false;
      await showPlan();
    }
  } catch (error) {
    showProblem(error as Error);
  } finally {
    isPlanning = false;
  }
}

async function finetune(): Promise<void> {
  [losses, pace] = [[], new Pace()];
  answers.reset();
  talk.clear();
  showLosses(Number(steps.value));
  [stop.hidden, stop.disabled, save.hidden] = [false, false, true];
  show("progress");
  const outcome = await work(() => client.call("finetune", settings()));
  stop.hidden = true;
  if (outcome === null) return await reconnect();
  const { steps: done, stopped, seconds } = outcome;
  text("stage").textContent = `${stopped ? "Stopped" : "Done"} after ${done} steps in ${formatDuration(seconds)}`;
  if (done === 0) return;
  save.hidden = false;
  save.focus();
}

/** After a failure the engine may be gone: a new worker takes its place, with what was chosen. */
async function reconnect(): Promise<void> {
  text("stage").textContent = "Ended by an error";
  client.close();
  client = connect();
  try {
    showEngine(await client.call("open", null));
    await client.call("outline", chosen.model);
    await client.call("examples", chosen.data);
  } catch (error) {
    showProblem(error as Error);
  }
}

function showEngine(facts: EngineFacts): void {
  engine = facts;
  const { backend, adapter, isSoftware, reason } = facts;
  const line = find("engine", HTMLElement);
  line.classList.toggle("fast", !isSoftware);
  line.classList.toggle("slow", isSoftware);
  line.textContent = backend === "webgpu"
    ? `Runs on WebGPU${adapter === "" ? "" : `: ${adapter}`}` +
      (isSoftware ? ", a program on the processor that stands for a GPU, so it is slow" : "")
    : `Runs in plain JavaScript, which is very slow: ${reason}. To use the GPU, take a current Chrome, Edge, Safari ` +
      "or Firefox; in Chrome on Linux, turn on chrome://flags/#enable-unsafe-webgpu and #enable-vulkan, and see " +
      "chrome://gpu for what is missing.";
}

setup.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!busy) void finetune();
});
setup.addEventListener("change", (event) => {
  if (model !== null && (event.target as HTMLElement).closest(".fields")) void replan();
});
stop.addEventListener("click", () => {
  stop.disabled = true;
  text("stage").textContent = "Stopping after this step…";
  void client.call("stop", null);
});
save.addEventListener("click", () => {
  void work(async () => await downloadZip(`${model!.name}-adapter`, await client.call("save", null)));
});
find("model-shipped", HTMLButtonElement).addEventListener("click", () => void chooseModel(null));
find("data-shipped", HTMLButtonElement).addEventListener("click", () => void chooseData(null));
acceptFiles(find("model-folder", HTMLInputElement), text("model-drop"), (files) => void chooseModel(files));
acceptFiles(find("data-file", HTMLInputElement), text("data-drop"), ([file]) => void chooseData(file!));

const opened = await work(() => client.call("open", null));
if (opened !== null) {
  showEngine(opened);
  await chooseData(null);
  await chooseModel(null);
}
