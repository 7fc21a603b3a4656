/**
 * Compiled models: made from bytes, run without blocking the event loop.
 */

import { type ArenaUse, arenaUse } from "./arena.ts";
import { assignedNodes, recordAssignment } from "./assignment.ts";
import { addressOf, type Environment, outPointer } from "./environment.ts";
import { cString, pathString } from "./library.ts";
import type { Provider } from "./place.ts";
import { type OrtValue, ownValue } from "./value.ts";
import type { TensorType } from "@tessera/core";

/** How a model is compiled. */
export interface SessionOptions {
  /**
   * How much ONNX Runtime rewrites the graph: 0 nothing, 1 basic, 2 extended, 99 everything. 0 by default: models are
   * written with the kernels that they want, and donated outputs rely on running as written.
   */
  readonly optimization?: number;
  /**
   * Whether one block of memory is planned for all intermediate values, after the first run. False by default: the first
   * run has filled the arena by then, and a training step came out at 1.8 times the memory and the same speed.
   */
  readonly memoryPattern?: boolean;
  /** Where the optimized model is written, to look at it. */
  readonly optimizedModelPath?: string;
  /** The prefix of the file that a profile of every run is written to; none by default. */
  readonly profilePath?: string;
  /** Further session configuration entries, by ONNX Runtime's key. */
  readonly config?: Readonly<Record<string, string>>;
}

/** The inputs and outputs of a model, in the order in which `run` takes them. */
export interface SessionSignature {
  /** The names of the inputs. */
  readonly inputNames: readonly string[];
  /** The names of the outputs. */
  readonly outputNames: readonly string[];
  /** The types of the outputs. */
  readonly outputTypes: readonly TensorType[];
}

/** Constants that are supplied when a model is compiled, so that kernels can lay them out as they like. */
export interface SessionResidents {
  /** The values by name; their elements must not change, and must outlive the session. */
  readonly values: ReadonlyMap<string, OrtValue>;
  /** The `OrtPrepackedWeightsContainer` through which sessions share the kernels' prepacked copies. */
  readonly container: bigint;
}

/** A compiled model. */
export interface Session {
  /**
   * Runs the model on another thread and returns its outputs, one per name in the signature.
   *
   * An entry of `outputs` that is a value receives that output; for a `null` a new value is allocated in the arena.
   */
  run(inputs: readonly OrtValue[], outputs: readonly (OrtValue | null)[], signal?: AbortSignal): Promise<OrtValue[]>;
  /** What the arena holds, which all sessions share. */
  arenaUse(): ArenaUse;
  /** Frees the compiled model, after the runs under way. */
  release(): Promise<void>;
}

/** Where and with which constants a model is compiled. */
export interface SessionSetting {
  /** Constants that are not in the model; none unless given. */
  readonly residents?: SessionResidents | null;
  /** The engine that runs it; that of the processor unless given. */
  readonly provider?: Provider | null;
}

/**
 * Compiles a model on another thread.
 *
 * @throws {OrtError} when ONNX Runtime refuses the model.
 * @throws {NodesElsewhere} when nodes would not be run by the engine that was asked for.
 */
export async function newSession(
  environment: Environment,
  model: Uint8Array<ArrayBuffer>,
  signature: SessionSignature,
  options: SessionOptions = {},
  { residents = null, provider = null }: SessionSetting = {},
): Promise<Session> {
  const { api } = environment;
  const settings = sessionOptions(environment, options, provider);
  const out = outPointer();
  environment.retain();
  try {
    const given = [environment.env, addressOf(model), model.byteLength, settings] as const;
    for (const [name, value] of residents?.values ?? []) api.addInitializer(settings, cString(name), value.handle);
    const call = residents === null
      ? api.createSessionFromArray(...given, addressOf(out))
      : api.createSessionFromArrayWithPrepackedWeightsContainer(...given, residents.container, addressOf(out));
    await pinning(call, [model, out, residents]);
  } catch (error) {
    environment.release();
    throw error;
  } finally {
    api.releaseSessionOptions(settings);
  }
  const session = wrapSession(environment, out[0]!, signature);
  if (provider === null) return session;
  const elsewhere = assignedNodes(environment, out[0]!).filter((node) => node.provider !== provider.name);
  if (elsewhere.length === 0) return session;
  await session.release();
  throw new NodesElsewhere(elsewhere.map(({ name }) => name));
}

/**
 * Compiles a small model on this thread, for what ONNX Runtime tells only through a session; gives its handle.
 *
 * @throws {OrtError} when ONNX Runtime refuses the model.
 */
export function newSessionNow(environment: Environment, model: Uint8Array<ArrayBuffer>, provider: Provider): bigint {
  const { api, env } = environment;
  const settings = sessionOptions(environment, {}, provider);
  const out = outPointer();
  try {
    api.createSessionFromArrayNow(env, model, model.byteLength, settings, out);
    return out[0]!;
  } finally {
    api.releaseSessionOptions(settings);
  }
}

/** Says that an engine has no kernels for some nodes of a model, which would have run on the processor instead. */
export class NodesElsewhere extends Error {
  /** The nodes, by the names of their first results. */
  readonly nodes: readonly string[];

  /** Takes the names of the nodes. */
  constructor(nodes: readonly string[]) {
    super(`no kernels for the nodes ${nodes.join(", ")}`);
    this.nodes = nodes;
  }
}

function sessionOptions(environment: Environment, options: SessionOptions, provider: Provider | null): bigint {
  const { api } = environment;
  const out = outPointer();
  api.createSessionOptions(out);
  const settings = out[0]!;
  try {
    const sequential = 0;
    api.setSessionExecutionMode(settings, sequential);
    api.setSessionGraphOptimizationLevel(settings, options.optimization ?? 0);
    if (options.memoryPattern ?? false) api.enableMemPattern(settings);
    else api.disableMemPattern(settings);
    api.disablePerSessionThreads(settings);
    if (options.optimizedModelPath !== undefined) {
      api.setOptimizedModelFilePath(settings, pathString(options.optimizedModelPath));
    }
    if (options.profilePath !== undefined) api.enableProfiling(settings, pathString(options.profilePath));
    const entries = {
      "session.use_env_allocators": "1",
      ...(provider === null ? {} : recordAssignment),
      ...options.config,
    };
    for (const [key, value] of Object.entries(entries)) {
      api.addSessionConfigEntry(settings, cString(key), cString(value));
    }
    provider?.appendTo(settings);
  } catch (error) {
    api.releaseSessionOptions(settings);
    throw error;
  }
  return settings;
}

function wrapSession(environment: Environment, session: bigint, signature: SessionSignature): Session {
  const { api } = environment;
  const names = [signature.inputNames, signature.outputNames].map((list) => {
    const strings = list.map(cString);
    return { strings, pointers: BigUint64Array.from(strings, addressOf) };
  });
  const [inputNames, outputNames] = [names[0]!.pointers, names[1]!.pointers];
  const running = new Set<Promise<unknown>>();
  let released = false;

  async function run(
    inputs: readonly OrtValue[],
    outputs: readonly (OrtValue | null)[],
    signal?: AbortSignal,
  ): Promise<OrtValue[]> {
    const inputHandles = BigUint64Array.from(inputs, (value) => value.handle);
    const outputHandles = BigUint64Array.from(outputs, (value) => value?.handle ?? 0n);
    const stop = signal === undefined ? null : stopOn(environment, signal);
    const call = api.run(
      session,
      stop?.options ?? 0n,
      addressOf(inputNames),
      addressOf(inputHandles),
      inputHandles.length,
      addressOf(outputNames),
      outputHandles.length,
      addressOf(outputHandles),
    );
    const ended = pinning(call, [names, inputHandles, outputHandles, inputs, outputs]);
    running.add(ended);
    try {
      await ended;
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      running.delete(ended);
      stop?.release();
    }
    return outputs.map((value, i) => value ?? ownValue(environment, outputHandles[i]!, signature.outputTypes[i]!));
  }

  return {
    run(inputs, outputs, signal) {
      if (released) throw new TypeError("Cannot run a program that was disposed");
      signal?.throwIfAborted();
      return run(inputs, outputs, signal);
    },
    arenaUse: () => arenaUse(environment, session),
    async release() {
      if (released) return;
      released = true;
      if (running.size > 0) await Promise.allSettled(running);
      api.releaseSession(session);
      environment.release();
    },
  };
}

/** Run options that end a run when a signal fires. */
function stopOn(environment: Environment, signal: AbortSignal): { options: bigint; release(): void } {
  const { api } = environment;
  const out = outPointer();
  api.createRunOptions(out);
  const options = out[0]!;
  const stop = () => api.runOptionsSetTerminate(options);
  signal.addEventListener("abort", stop, { once: true });
  return {
    options,
    release() {
      signal.removeEventListener("abort", stop);
      api.releaseRunOptions(options);
    },
  };
}

const pinned = new Map<Promise<void>, readonly unknown[]>();

/** A call on another thread, which keeps what that thread reads from being collected until it has ended. */
async function pinning(call: Promise<void>, objects: readonly unknown[]): Promise<void> {
  pinned.set(call, objects);
  try {
    await call;
  } finally {
    pinned.delete(call);
  }
}
