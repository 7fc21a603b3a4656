/** What is to be planned: the one schema from which the flags and their checks follow. */
import { z } from "zod";
import { type CommandLine, UsageError } from "@tessera/cli";
import { type Hardware, type HardwareName, parseMeshAxes } from "@tessera/models";
import { hardware } from "tessera";

const count = z.int().min(1);
const hardwareNames = Object.keys(hardware) as [HardwareName, ...HardwareName[]];

/** A figure with a unit, such as `80GB` or `900 GB/s`, as bytes, operations, or either per second. */
const figure = z.union([z.number(), z.string()]).transform((given, context) => {
  const found = typeof given === "number" ? given : parseFigure(given);
  if (found !== null && found > 0 && Number.isFinite(found)) return found;
  context.addIssue(`expected a positive number, which may have a unit, such as 80GB, 900GB/s or 312T; found ${given}`);
  return z.NEVER;
});

/** The schema of a request. */
export const requestSchema = z.strictObject({
  preset: z.string().min(1).default("gemma2_9b_en").describe(
    "The model: a preset under KerasHub's name, such as gemma2_27b_en, for which no file is needed, or a repository of the Hub, " +
      "such as hf://owner/name, of which config.json is downloaded.",
  ),
  folder: z.string().min(1).nullable().default(null).describe(
    "The model: the folder of a checkpoint, of which config.json is read; instead of the preset.",
  ),
  dtype: z.enum(["float32", "bfloat16", "float16", "mixed_bfloat16", "mixed_float16"]).default("bfloat16").describe(
    "What the weights are stored and computed in; mixed keeps weights in float32.",
  ),
  quantize: z.enum(["int8", "int4"]).nullable().default(null).describe(
    "Stores frozen kernels and embeddings in 8 or 4 bits; null as dtype says.",
  ),
  rank: count.nullable().default(8).describe("The rank of the LoRA adapters; null trains every weight instead."),
  targets: z.array(z.string().min(1)).min(1).default(["query", "value"]).describe(
    "The layers that get an adapter: regular expressions for their paths or names.",
  ),
  batchSize: count.default(8).describe("The number of sequences in a batch, on all devices together."),
  length: count.default(1024).describe("The number of tokens in a sequence."),
  mesh: z.string().nullable().default(null).describe(
    "The devices by axis, such as batch=2,model=8; null is one device.",
  ),
  layout: z.enum(["auto", "data-parallel"]).default("auto").describe(
    "Where the weights lie: auto is the published layout map, data-parallel replicates them on every device.",
  ),
  suggest: count.nullable().default(null).describe("Ranks the meshes of this many devices instead."),
  hardware: z.enum(hardwareNames).default("h100").describe("What a device is; the flags below change its figures."),
  memory: figure.nullable().default(null).describe("The memory of a device, such as 80GB."),
  peak: figure.nullable().default(null).describe("Operations per second, such as 312T."),
  bandwidth: figure.nullable().default(null).describe("Bytes per second of a device's memory, such as 2TB/s."),
  linkBandwidth: figure.nullable().default(null).describe(
    "Bytes per second from a device to others, such as 450GB/s.",
  ),
}).describe("What training a model would take.");

/** A request with every default filled in. */
export type Request = z.output<typeof requestSchema>;

const prefixes: Readonly<Record<string, number>> = { "": 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12, p: 1e15 };
const binary: Readonly<Record<string, number>> = { k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40, p: 2 ** 50 };

/** The number that a text with a unit means; `null` when it means none. */
export function parseFigure(text: string): number | null {
  const pattern = /^\s*(\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*([kmgtp]?)(i?)(?:b|flops?|flop\/s|ops)?(?:\/s)?\s*$/i;
  const [, number, prefix = "", two] = pattern.exec(text) ?? [];
  if (number === undefined) return null;
  const scale = (two ? binary : prefixes)[prefix.toLowerCase()];
  return scale === undefined ? null : Number(number) * scale;
}

/** The flags of the program itself, by name. */
export const switches = {
  json: { description: "Prints one JSON object on standard output, and nothing else." },
  debug: { description: "Prints the stack of an error." },
  help: { description: "Prints this text." },
} as const;

/** What the command line may say. */
export const commandLine: CommandLine<keyof typeof switches> = {
  schema: requestSchema,
  switches,
  example: "--preset gemma2_9b_en",
  hint: (argument) =>
    argument.includes("=") ? `--mesh ${argument}` : /^\w+$/.test(argument) ? `--preset ${argument}` : null,
};

/** The hardware of a request, with the figures that it changes. */
export function hardwareOf(request: Request): Hardware {
  const known: Hardware = hardware[request.hardware];
  const { peak, memory, bandwidth, linkBandwidth } = request;
  return {
    ...known,
    ...(peak === null ? {} : { peak: { half: peak, float32: peak } }),
    ...(memory === null ? {} : { memory }),
    ...(bandwidth === null ? {} : { bandwidth }),
    ...(linkBandwidth === null ? {} : { linkBandwidth }),
  };
}

/**
 * The mesh of a request; `null` for one device.
 *
 * @throws {UsageError} when it is not written as one.
 */
export function meshOf({ mesh }: Request): Readonly<Record<string, number>> | null {
  if (mesh === null) return null;
  try {
    return parseMeshAxes(mesh);
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}
