/** Loading the model of a prepared job: on its backend, once it is known to have the capacity, and with a folder for results. */
import type { CommandConsole } from "@tessera/cli";
import { checkTrainingCapacity } from "@tessera/models";
import type { Progress } from "@tessera/text";
import { type Backend, type CausalLM, openBackend } from "tessera";
import { downloadsOn } from "./downloads.ts";
import { type Claim, claimOutput } from "./output_folder.ts";
import type { PreparedJob } from "./prepare.ts";

/** A job whose model is loaded. */
export interface OpenJob {
  /** The model, with its adapters. */
  readonly lm: CausalLM;
  /** The folder for results. */
  readonly claim: Claim;
  /** Frees the model and the backend, and gives the folder back when nothing was written. */
  close(): Promise<void>;
}

/** How a job is opened. */
export interface OpenJobOptions {
  /** The folder for results. */
  readonly output: string;
  /** The job as it is kept there, as JSON. */
  readonly job: string;
  /** Where it prints to. */
  readonly console: CommandConsole;
  /** Ends it between tensors. */
  readonly signal: AbortSignal;
  /** Called once the model is known to fit, before anything is written or loaded. */
  readonly whenFits: () => Promise<void>;
}

/**
 * Opens the backend of a job and loads its model.
 *
 * @throws {RangeError} when the devices lack the capacity for a batch.
 * @throws {Error} when the backend cannot run here, the folder cannot be written, or the weights cannot be loaded; nothing stays.
 */
export async function openJob(prepared: PreparedJob, options: OpenJobOptions): Promise<OpenJob> {
  const { config, backend: { name }, distribution } = prepared;
  const { output, job, console, signal, whenFits } = options;
  const backend = await openBackend(name, {
    ...(config.threads === null ? {} : { threads: config.threads }),
    ...(distribution === null ? {} : { deviceCount: distribution.mesh.size }),
  });
  let claim: Claim | undefined;
  try {
    if (backend.about !== undefined) console.print(`\nRuns on ${backend.about}`);
    await checkCapacity(prepared, backend);
    await whenFits();
    claim = await claimOutput(output, job);
    console.print();
    const lm = await loadModel(prepared, backend, console, signal);
    return { lm, claim, close: () => close(claim, lm, backend) };
  } catch (error) {
    await close(claim, undefined, backend);
    throw error;
  }
}

async function close(claim: Claim | undefined, lm: CausalLM | undefined, backend: Backend): Promise<void> {
  await claim?.release();
  lm?.dispose();
  backend.dispose();
}

/** Refuses, before any weight is read, batches that the backend's devices cannot take. */
async function checkCapacity(prepared: PreparedJob, backend: Backend): Promise<void> {
  const { opened: { backbone }, optimizer, distribution, train } = prepared;
  const { batch, time } = train.dataset.statistics.shapes.reduce((most, shape) =>
    shape.batch * shape.time > most.batch * most.time ? shape : most
  );
  await checkTrainingCapacity({ backbone, optimizer, batchSize: batch, length: time }, { backend, distribution });
}

/** Loads the weights, with a progress bar; adapters start from the job's seed. */
async function loadModel(
  { config, opened, distribution }: PreparedJob,
  backend: Backend,
  console: CommandConsole,
  signal: AbortSignal,
): Promise<CausalLM> {
  let bar: Progress | undefined;
  try {
    return await opened.load({
      backend,
      distribution,
      seed: config.training.seed,
      reporter: downloadsOn(console, signal),
      signal,
      onProgress: ({ phase, done, total }) => {
        if (phase !== "load") return;
        bar ??= console.progress("Loading", total, "tensors");
        bar.update(done);
      },
    });
  } finally {
    bar?.done();
  }
}
