/** Sharing what a run has made, on the Hugging Face Hub: checked before training, done when the results are on the disk. */
import { type CommandConsole, formatFacts } from "@tessera/cli";
import { checkPush, parseHandle, prepareRepository, type PushKind, type PushTarget, showPushes } from "@tessera/hub";
import { formatBytes } from "@tessera/text";
import { presets, pushToHub } from "tessera";
import { join } from "node:path";
import { resumeCommand } from "./begun_run.ts";
import { cardSections } from "./card.ts";
import type { Config } from "../job/config.ts";
import { outputNames } from "./output_folder.ts";
import { printResume } from "../score/outcome.ts";
import type { RunRecord, SavedFiles } from "./record.ts";
import type { RunOptions, RunResult } from "./run.ts";

/** What a job saves. */
export function savedKind({ lora }: Config): SavedFiles["kind"] & PushKind {
  return lora?.layout === "peft" ? "adapter" : "model";
}

/**
 * Checks that the results of a job may be pushed to where it says; `null` where it says nothing.
 *
 * @throws {Error} when they may not be.
 */
export async function checkTarget(config: Config, signal: AbortSignal): Promise<PushTarget | null> {
  return config.push.to === null ? null : await checkPush(config.push.to, savedKind(config), { signal });
}

/** What a plan says about where the results are pushed to. */
export function describeTarget(
  target: PushTarget | null,
  config: Config,
): (readonly [label: string, value: string])[] {
  if (target === null) return [];
  const { url, visibility } = target;
  const state = visibility === null
    ? `a ${config.push.visibility} repository, to be made`
    : `a ${visibility} repository`;
  return [
    ["Push to", `${url} · ${state}`],
    ...(baseHandle(config) === null
      ? [["", "its base model is not named; --baseModel hf://google/gemma-2-9b, say, names it"] as const]
      : []),
  ];
}

/** Makes sure, before anything is trained, that there is a repository that the results may be pushed to. */
export async function prepareTarget(target: PushTarget | null, { push }: Config, signal: AbortSignal): Promise<void> {
  if (target !== null) await prepareRepository(target, { visibility: push.visibility, signal });
}

/** The base model of a job as a handle; `null` where it is a folder of unknown origin. */
function baseHandle({ preset, push }: Config): string | null {
  if (push.baseModel !== null) return push.baseModel;
  const named = Object.entries(presets).find(([name]) => name === preset)?.[1];
  if (named !== undefined) return `hf://${named.repository}`;
  const handle = parseHandle(preset);
  return handle === null ? null : `hf://${handle.repository}`;
}

/**
 * Pushes the results of a run, where its job says so; gives the command that resumes it when it is ended by hand, or `null`.
 *
 * @throws {Error} when they cannot be pushed, with the command that tries again.
 */
export async function pushResults(
  record: RunRecord,
  { push }: Config,
  output: string,
  { console, signal }: { readonly console: CommandConsole; readonly signal: AbortSignal },
): Promise<string | null> {
  if (push.to === null) return null;
  const { config, saved, plan } = record;
  const baseModel = baseHandle({ ...config, push });
  const again = `${resumeCommand(output)} --push ${push.to}`;
  console.print();
  try {
    const { url, visibility, commit, sentBytes } = await pushToHub(push.to, join(output, outputNames[saved.kind]), {
      visibility: push.visibility,
      ...(baseModel === null ? {} : { baseModel }),
      card: {
        task: plan.model.seesImages ? "image-text-to-text" : "text-generation",
        baseName: plan.model.name,
        sections: cardSections(record),
      },
      reporter: showPushes(console),
      signal,
    });
    const what = commit === null ? "Everything is there already" : `Pushed, ${formatBytes(sentBytes)} of weights`;
    console.print(`${what}: ${console.styles.bold(url)} (${visibility})`);
    return null;
  } catch (error) {
    if (signal.aborted) return again;
    if (!(error instanceof Error)) throw error;
    const explained = new Error(`${error.message}\nThe results are in ${output}; try again with: ${again}`, {
      cause: error,
    });
    explained.name = error.name;
    throw explained;
  }
}

/** Pushes the results of a run that is over, unless only the plan is asked for. */
export async function shareFinished(
  record: RunRecord,
  config: Config,
  output: string,
  { console, signal, planOnly }: Pick<RunOptions, "console" | "signal" | "planOnly">,
): Promise<RunResult> {
  const target = await checkTarget(config, signal);
  const facts = [["Results", output], ...describeTarget(target, config)] as const;
  console.print(formatFacts(facts, console.width, console.styles));
  if (planOnly) return { output, plan: record.plan, record: null, resume: null };
  const resume = await pushResults(record, config, output, { console, signal });
  printResume(resume, console);
  return { output, plan: record.plan, record, resume };
}
