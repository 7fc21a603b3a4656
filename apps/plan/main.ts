/**
 * The command line that says what training takes on a mesh of devices.
 *
 * ```sh
 * deno task plan --help
 * ```
 *
 * @module
 */
import { type Arguments, nest, openConsole, parseArguments, UsageError } from "@tessera/cli";
import { showDownloads } from "@tessera/hub";
import { candidatesFor, devicesOf } from "@tessera/models";
import { distributionFor, planTraining, suggestMeshes, virtualDevices } from "tessera";
import { formatHelp } from "./help.ts";
import { outline } from "./model.ts";
import { printPlan, printSuggestions } from "./print.ts";
import { commandLine, hardwareOf, meshOf, requestSchema, type switches } from "./request.ts";

const exitCodes = { done: 0, failed: 1, misused: 2 } as const;

async function run(args: Arguments<keyof typeof switches>): Promise<void> {
  const json = args.switches.has("json");
  const console = openConsole({ json, quiet: json });
  if (args.switches.has("help")) return console.announce(formatHelp(console.width, console.styles));
  const request = requestSchema.parse(nest(args.fields));
  const axes = meshOf(request);
  if (args.fields.has("preset") && request.folder !== null) {
    throw new UsageError("Cannot plan two models: give --preset or --folder");
  }
  const hardware = hardwareOf(request);
  const model = await outline(request, showDownloads(console));
  const { training } = model;
  const write = (value: unknown) => globalThis.console.log(JSON.stringify(value));
  if (request.suggest !== null) {
    if (axes !== null) throw new UsageError("Cannot suggest a mesh where one is given: leave out --mesh or --suggest");
    const bar = console.progress("Planning", candidatesFor(request.suggest).length, "meshes");
    const suggestions = await suggestMeshes(training, request.suggest, {
      hardware,
      onProgress: (done) => bar.update(done),
    });
    bar.done();
    if (json) return write({ request, hardware, suggestions });
    return printSuggestions(model, suggestions, request, hardware, console);
  }
  const distribution = axes === null
    ? null
    : distributionFor(training.backbone, axes, request.layout, virtualDevices(devicesOf(axes)));
  const plan = planTraining(training, { distribution, hardware });
  if (json) return write({ request, hardware, plan });
  printPlan(model, plan, request, hardware, console);
}

/** Understands and runs a command line, and gives the exit code. */
export async function main(line: readonly string[]): Promise<number> {
  try {
    await run(parseArguments(line, commandLine));
    return exitCodes.done;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    console.error(line.includes("--debug") ? Deno.inspect(error) : `Error: ${error.message}`);
    if (line.includes("--json")) console.log(JSON.stringify({ error: { name: error.name, message: error.message } }));
    return error instanceof UsageError ? exitCodes.misused : exitCodes.failed;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
