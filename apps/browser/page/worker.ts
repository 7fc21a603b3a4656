/** The worker: holds the engine, the model and the examples, so that the page stays at hand while they work. */
import { type Example, loadExamples } from "@tessera/train";
import { blobFolder } from "tessera";
import { type Engine, openEngine } from "./engine.ts";
import type { Pair, Settings } from "./facts.ts";
import type { CallMessage, CallName, Calls, WorkerMessage, WorkEvent } from "./messages.ts";
import { Session } from "./session.ts";
import { fetchData, fetchModel } from "./shipped.ts";

/** The number of questions asked before and after, and the most tokens of an answer. */
const [questionCount, maxNewTokens] = [4, 128];

/** What a worker's global object is, as far as it is used here. */
interface WorkerScope {
  readonly location: { readonly href: string };
  postMessage(message: WorkerMessage): void;
  onmessage: ((event: MessageEvent<CallMessage>) => void) | null;
}
const scope = globalThis as unknown as WorkerScope;

let engine: Promise<Engine> | null = null;
let session: Session | null = null;
let [train, questions]: [readonly Example[], readonly Pair[]] = [[], []];
let work: AbortController | null = null;

function send(event: WorkEvent): void {
  scope.postMessage({ event });
}

async function opened(): Promise<Engine> {
  engine ??= openEngine();
  return await engine;
}

async function current(): Promise<Session> {
  session ??= new Session((await opened()).backend);
  return session;
}

/** Does one thing that can be ended by `stop`. */
async function endable<T>(run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  work = new AbortController();
  try {
    return await run(work.signal);
  } finally {
    work = null;
  }
}

/** The questions that examples ask: those with one right answer. */
function pairsOf(examples: readonly Example[]): Pair[] {
  return examples.flatMap((example) => {
    if (example.kind === "prompt") return [{ prompt: example.prompt, response: example.response }];
    if (example.kind === "text") return [];
    const [question, answer] = [example.messages.at(-2), example.messages.at(-1)];
    return question === undefined || answer?.role !== "assistant"
      ? []
      : [{ prompt: question.content, response: answer.content }];
  });
}

async function readExamples(file: File | null): Promise<{ source: string; train: Example[]; heldOut: Example[] }> {
  if (file === null) {
    const folder = await fetchData(scope.location.href);
    const read = (name: string) => loadExamples(folder.file(name));
    return { source: "appointments", train: await read("train.jsonl"), heldOut: await read("heldout.jsonl") };
  }
  const all = await loadExamples(blobFolder([file], "the given files").file(file.name));
  // The last ones are not trained on: what is asked is new to the model.
  const aside = Math.min(questionCount, Math.floor(all.length / 2));
  return { source: file.name, train: all.slice(0, all.length - aside), heldOut: all.slice(all.length - aside) };
}

async function askAll(when: "before" | "after", { chat }: Settings, signal: AbortSignal): Promise<void> {
  const at = await current();
  for (const [question, { prompt }] of questions.entries()) {
    if (signal.aborted) return;
    send({ kind: "progress", stage: when, done: question, total: questions.length });
    let text = "";
    for await (const piece of at.ask([{ role: "user", content: prompt }], { chat, maxNewTokens, signal })) {
      text += piece;
      send({ kind: "answer", when, question, text, ended: false });
    }
    send({ kind: "answer", when, question, text, ended: true });
  }
  send({ kind: "progress", stage: when, done: questions.length, total: questions.length });
}

/** Loads the weights and reports the progress. */
async function load(signal: AbortSignal): Promise<Session> {
  const at = await current();
  await at.load({ signal, onProgress: (done, total) => send({ kind: "progress", stage: "load", done, total }) });
  return at;
}

type Handlers = { readonly [Name in CallName]: (argument: Calls[Name]["takes"]) => Promise<Calls[Name]["gives"]> };

const handlers: Handlers = {
  open: async () => (await opened()).facts,
  outline: async (files) => {
    const folder = files === null ? await fetchModel(scope.location.href) : blobFolder(files, folderName(files));
    return await (await current()).outline(folder);
  },
  examples: async (file) => {
    const found = await readExamples(file);
    train = found.train;
    questions = pairsOf(found.heldOut).slice(0, questionCount);
    return { source: found.source, count: train.length, questions };
  },
  plan: async (settings) => await (await current()).plan(train, settings),
  finetune: (settings) =>
    endable(async (signal) => {
      let steps = 0;
      try {
        (await load(signal)).reset();
        await askAll("before", settings, signal);
      } catch (error) {
        if (signal.aborted) return { steps, stopped: true, seconds: 0 };
        throw error;
      }
      const at = await current();
      const start = performance.now();
      await at.train(train, settings, {
        signal,
        onStep: (facts) => {
          steps = facts.step;
          send({ kind: "step", facts });
        },
      });
      const seconds = (performance.now() - start) / 1000;
      if (steps === 0) return { steps, stopped: true, seconds };
      // A model that was stopped early is asked all the same.
      await askAll("after", settings, new AbortController().signal);
      return { steps, stopped: steps < settings.steps, seconds };
    }),
  ask: ({ messages, chat }) =>
    endable(async (signal) => {
      let text = "";
      try {
        const at = await load(signal);
        for await (const piece of at.ask(messages, { chat, maxNewTokens, signal })) {
          text += piece;
          send({ kind: "piece", text: piece });
        }
      } catch (error) {
        if (!signal.aborted) throw error;
      }
      return text;
    }),
  stop: () => {
    work?.abort(new Error("Ended by hand"));
    return Promise.resolve(null);
  },
  save: async () => await (await current()).save(),
};

function folderName(files: readonly File[]): string {
  const path = files[0]?.webkitRelativePath ?? "";
  return path.includes("/") ? path.slice(0, path.indexOf("/")) : "the chosen files";
}

async function answer({ id, name, argument }: CallMessage): Promise<void> {
  try {
    const value = await (handlers[name] as (argument: unknown) => Promise<unknown>)(argument);
    scope.postMessage({ id, value });
  } catch (error) {
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    scope.postMessage({ id, error: { name, message } });
  }
}

scope.onmessage = ({ data }) => void answer(data);
