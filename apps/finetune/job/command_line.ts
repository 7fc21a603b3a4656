/** What the command line of fine-tuning takes: the fields of a job, and flags of the program itself. */
import { type Arguments as CommandArguments, type CommandLine, parseArguments as parse } from "@tessera/cli";
import { configSchema } from "./config.ts";

/** The flags of the program itself, by name. */
export const switches = {
  config: { takes: "file", description: "Reads the job from a JSON or TypeScript file; other flags override it." },
  resume: {
    takes: "folder",
    description: "Resumes the run in a folder of results, from its last checkpoint.",
  },
  plan: { description: "Prints what would be done, and stops." },
  overwrite: { description: "Lets --output name a folder that holds another run." },
  json: { description: "Prints one JSON object on standard output at the end, and all else on standard error." },
  quiet: { description: "Prints nothing but errors and where the results are." },
  debug: { description: "Prints the stack of an error." },
  help: { description: "Prints this text." },
} as const;

/** What the command line may say. */
export const commandLine: CommandLine<keyof typeof switches> = {
  schema: configSchema,
  switches,
  shorthands: { data: "data.train", push: "push.to" },
  example: "--preset",
  hint: (argument) =>
    /\.(json|ts)$/.test(argument) ? `--config ${argument}` : argument.endsWith(".jsonl") ? `--data ${argument}` : null,
};

/** What a command line says. */
export type Arguments = CommandArguments<keyof typeof switches>;

/**
 * Reads a command line.
 *
 * @throws {UsageError} when a flag is unknown, lacks its value or has a wrong one.
 */
export function parseArguments(args: readonly string[]): Arguments {
  return parse(args, commandLine);
}
