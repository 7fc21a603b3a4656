/** The page's end of its worker. */
import type { CallMessage, CallName, Calls, WorkerMessage, WorkEvent } from "./messages.ts";

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** Calls a worker. */
export class Client {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #calls = 0;

  /** Starts a worker; `onEvent` is called with what happens in it. */
  constructor(address: URL, onEvent: (event: WorkEvent) => void) {
    this.#worker = new Worker(address, { type: "module" });
    this.#worker.onmessage = ({ data }: MessageEvent<WorkerMessage>) => {
      if ("event" in data) return onEvent(data.event);
      const pending = this.#pending.get(data.id);
      this.#pending.delete(data.id);
      if ("value" in data) return pending?.resolve(data.value);
      const error = new Error(data.error.message);
      error.name = data.error.name;
      pending?.reject(error);
    };
    this.#worker.onerror = ({ message }) => this.#fail(new Error(`The worker ended: ${message || "it did not start"}`));
  }

  /** Makes a call and waits for its answer. */
  call<Name extends CallName>(name: Name, argument: Calls[Name]["takes"]): Promise<Calls[Name]["gives"]> {
    const id = ++this.#calls;
    const message: CallMessage = { id, name, argument };
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.#worker.postMessage(message);
    });
  }

  /** Ends the worker, with all that it holds. */
  close(): void {
    this.#worker.terminate();
    this.#fail(new Error("The worker was ended"));
  }

  #fail(error: Error): void {
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }
}
