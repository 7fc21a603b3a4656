/** The messages between the page and its worker: calls with an answer each, and events on the way. */
import type { ChatMessage } from "tessera";
import type { ExampleFacts, ModelFacts, Plan, Settings, StepFacts } from "./facts.ts";

/** What the model runs on. */
export interface EngineFacts {
  /** The name of the backend. */
  readonly backend: "webgpu" | "tfjs-cpu";
  /** The GPU, as it calls itself; empty where it does not say. */
  readonly adapter: string;
  /** Whether a program on the processor stands for the GPU. */
  readonly isSoftware: boolean;
  /** Why it is not the GPU; null where it is. */
  readonly reason: string | null;
}

/** Which stage of the work is under way. */
export type Stage = "load" | "before" | "train" | "after";

/** What fine-tuning came to. */
export interface Outcome {
  /** The number of updates made. */
  readonly steps: number;
  /** Whether it was ended by hand before the last one. */
  readonly stopped: boolean;
  /** The time that training took, in seconds. */
  readonly seconds: number;
}

/** The calls that the worker answers, each with what it takes and gives. */
export interface Calls {
  /** Starts the engine. */
  readonly open: { readonly takes: null; readonly gives: EngineFacts };
  /** Reads what a folder says about its model; null is the one that the page ships. */
  readonly outline: { readonly takes: readonly File[] | null; readonly gives: ModelFacts };
  /** Reads a JSONL file of examples; null is the one that the page ships. */
  readonly examples: { readonly takes: File | null; readonly gives: ExampleFacts };
  /** Works out what fine-tuning will do. */
  readonly plan: { readonly takes: Settings; readonly gives: Plan };
  /** Loads, asks, fine-tunes and asks again. */
  readonly finetune: { readonly takes: Settings; readonly gives: Outcome };
  /** Answers a conversation. */
  readonly ask: {
    readonly takes: { readonly messages: readonly ChatMessage[]; readonly chat: boolean };
    readonly gives: string;
  };
  /** Ends the work under way after its current step. */
  readonly stop: { readonly takes: null; readonly gives: null };
  /** Saves the adapter, as files by name. */
  readonly save: { readonly takes: null; readonly gives: ReadonlyMap<string, Blob> };
}

/** The name of a call. */
export type CallName = keyof Calls;

/** What happens during a call. */
export type WorkEvent =
  | { readonly kind: "progress"; readonly stage: Stage; readonly done: number; readonly total: number }
  | { readonly kind: "step"; readonly facts: StepFacts }
  | {
    readonly kind: "answer";
    readonly when: "before" | "after";
    readonly question: number;
    readonly text: string;
    readonly ended: boolean;
  }
  | { readonly kind: "piece"; readonly text: string };

/** A call, from the page to the worker. */
export interface CallMessage<Name extends CallName = CallName> {
  /** The number that its answer bears. */
  readonly id: number;
  /** What is called. */
  readonly name: Name;
  /** What it takes. */
  readonly argument: Calls[Name]["takes"];
}

/** What the worker sends to the page. */
export type WorkerMessage =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: { readonly name: string; readonly message: string } }
  | { readonly event: WorkEvent };
