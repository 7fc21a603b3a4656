/**
 * A contestant of a benchmark: a process of its own, so that its memory is its own, which runs blocks of steps when told to.
 *
 * The protocol is lines of JSON on standard output: `{"event": "ready", …}` after the warm-up, `{"event": "block", …}` after each
 * line `go K` on standard input, and a summary when the input ends.
 */
import { TextLineStream } from "./text_lines.ts";

/** What a contestant says after its warm-up. */
export interface Ready {
  /** Who it is. */
  readonly name: string;
  /** Seconds from the start of building the model to the end of the first step. */
  readonly firstStepSeconds: number;
}

/** What a contestant says at the end. */
export interface Summary extends Ready {
  /** Its peak resident set size, in bytes. */
  readonly peakRssBytes: number;
  /** The loss of each step. */
  readonly losses: readonly number[];
  /** The number of parameters, trainable or not. */
  readonly parameters: number;
  /** The number of trainable parameters. */
  readonly trainable: number;
  /** What bounds its speed, where it counts that. */
  readonly floor?: {
    /** The floating-point operations of the matrix products of one step. */
    readonly operations: number;
    /** The operations per second of one large matrix product by itself. */
    readonly peakPerSecond: number;
  };
}

/** A running contestant. */
export interface Peer {
  /** What it said after its warm-up. */
  readonly ready: Ready;
  /** Runs some steps and gives its tokens per second. */
  block(steps: number): Promise<number>;
  /** Runs some steps and gives all that it reports about them. */
  report<T>(steps: number): Promise<T>;
  /** Stops while another runs, so that it takes no processor time. */
  pause(): void;
  /** Continues after `pause`. */
  resume(): void;
  /** Ends it and gives its summary. */
  finish<T = Summary>(): Promise<T>;
}

/**
 * Starts a contestant and waits for its warm-up.
 *
 * @throws {Error} when it cannot be started or ends before it is ready, with the end of what it wrote on standard error.
 */
export async function startPeer(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Peer> {
  const child = new Deno.Command(command, {
    args: [...args],
    env: { ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const complaints = new Response(child.stderr).text();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream()).getReader();
  const input = child.stdin.getWriter();
  const next = async <T>(): Promise<T> => {
    for (;;) {
      const { value, done } = await lines.read();
      if (done) {
        throw new Error(
          `${command} ${args.join(" ")} ended early:\n${(await complaints).split("\n").slice(-12).join("\n")}`,
        );
      }
      if (value.startsWith("{")) return JSON.parse(value) as T;
    }
  };
  const report = async <T>(steps: number): Promise<T> => {
    await input.write(new TextEncoder().encode(`go ${steps}\n`));
    return await next<T>();
  };
  const ready = await next<Ready>();
  return {
    ready,
    report,
    block: async (steps) => (await report<{ tokensPerSecond: number }>(steps)).tokensPerSecond,
    pause: () => child.kill("SIGSTOP"),
    resume: () => child.kill("SIGCONT"),
    finish: async <T = Summary>() => {
      await input.close();
      const summary = await next<T>();
      await child.status;
      return summary;
    },
  };
}
