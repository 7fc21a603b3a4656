/** The help text, whose flags come from the schema. */
import { formatFlags, formatSwitches, listFlags, type Styles, wrap } from "@tessera/cli";
import { hardware, presets } from "tessera";
import { commandLine, switches } from "./request.ts";

const command = "deno task plan";

/** Writes the help text for a terminal of some width. */
export function formatHelp(width: number, styles: Styles): string {
  const flags = listFlags(commandLine);
  const bold = (text: string) => styles.bold(text);
  const isHardware = ({ path }: { readonly path: string }) =>
    ["hardware", "memory", "peak", "bandwidth", "linkBandwidth"].includes(path);
  const purpose =
    "Says what training a model takes on a mesh of devices, before its weights are downloaded or loaded: memory of " +
    "each device, what devices send each other in a step, and the time of a step at best. Weights and optimizer are exact; " +
    "activations are what the CPU backend would allocate; times take every device at its peak.";
  const devices = Object.entries(hardware).map(([name, { title }]) => `${name}: ${title}`).join(" · ");
  return `${wrap(purpose, width).join("\n")}

${bold("Examples")}
  ${command} --preset gemma2_27b_en --mesh batch=2,model=8
      LoRA on 16 devices, laid out as published
  ${command} --preset llama3.1_8b --rank none --suggest 8
      which mesh of 8 devices to train all weights on
  ${command} --folder my-gemma --hardware laptop --dtype float32
      a checkpoint of one's own on one computer

${bold("What to plan")}
${formatFlags(flags.filter((flag) => !isHardware(flag)), width)}

${bold("Devices")}
${formatFlags(flags.filter(isHardware), width)}
${wrap(devices, width - 4).map((line) => `    ${line}`).join("\n")}

${bold("Program")}
${formatSwitches(switches, width)}

${bold("Presets")}
${wrap(Object.keys(presets).join(", "), width - 2).map((line) => `  ${line}`).join("\n")}

${wrap("Defaults are in brackets. Exit codes: 0 done, 1 failed, 2 not understood.", width).join("\n")}`;
}
