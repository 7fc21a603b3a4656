/** The help text, whose flags come from the schema. */
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { type Flag, formatFlags, formatSwitches, listFlags, type Styles, wrap } from "@tessera/cli";
import { commandLine, switches } from "./command_line.ts";
import { tinyPath } from "./tiny_config.ts";

const command = "deno task finetune";

function groupOf({ path }: Flag): string {
  return path === "lora" || path === "checkpoint" ? path : path.includes(".") ? path.slice(0, path.indexOf(".")) : "";
}

const titles: Readonly<Record<string, string>> = {
  "": "The job",
  lora: "Adapters (lora)",
  data: "Examples (data)",
  training: "Training (training)",
  checkpoint: "Checkpoints (checkpoint)",
  evaluation: "Evaluation (evaluation)",
  push: "Sharing (push)",
};

/** The path of the schema, from where the program runs. */
const schemaPath = relative(Deno.cwd(), fileURLToPath(new URL("../schema.json", import.meta.url)));

/** Writes the help text for a terminal of some width. */
export function formatHelp(width: number, styles: Styles): string {
  const flags = listFlags(commandLine);
  const groups = Object.keys(titles).map((group) =>
    `${styles.bold(titles[group]!)}\n${formatFlags(flags.filter((flag) => groupOf(flag) === group), width)}`
  );
  const purpose = wrap(
    "Teaches a language model from examples, on this machine. It is scored on held-out examples before and after; the adapter, " +
      "a report and all measurements go to a folder of their own.",
    width,
  );
  const notes =
    "Defaults are in brackets; without --preset and --config, those of the shipped job hold, which are in " +
    `${
      tinyPath("recipe.ts")
    }. Flags may be written with dashes (--learning-rate) and with their group (--training.seed); what is ` +
    "on by default is turned off by --no- (--no-exactMatch). A configuration file has the same fields in groups; its schema is " +
    `${schemaPath}. Downloads go to the cache that Hugging Face's own tools share (HF_HOME, HF_HUB_CACHE) and resume where they ended; ` +
    "HF_TOKEN is for gated models, HF_ENDPOINT for a mirror, and HF_HUB_OFFLINE=1 keeps off the network. Exit codes: 0 done, " +
    "1 failed, 2 not understood, 130 ended by Ctrl-C.";
  return `${purpose.join("\n")}

${styles.bold("Examples")}
  ${command}
      fine-tunes the shipped tiny model on the shipped data, in a few minutes
  ${command} --preset gemma-2-2b --data mine.jsonl --rank 4 --epochs 1
      fine-tunes a checkpoint on lines such as {"prompt": "…", "response": "…"}
  ${command} --preset hf://google/gemma-2-2b --data mine.jsonl
      downloads the model first, unless it is on this machine
  ${command} --resume runs/gemma2-tiny
      resumes a run that was stopped, as if it had not been
  ${command} --resume runs/gemma2-tiny --push hf://me/my-gemma
      shares the results of a run that is over on the Hugging Face Hub
  ${command} --config job.json --plan
      shows what a job would do: parameters, memory, tokens, steps

${styles.bold("Program")}
${formatSwitches(switches, width)}

${groups.join("\n\n")}

${wrap(notes, width).join("\n")}`;
}
