/**
 * Sliding windows that some decoder blocks have and others do not: what configs say of them, and files with `use_sliding_window`,
 * `sliding_window` and `max_window_layers`, or with `layer_types`.
 *
 * Reference: `configuration_qwen2.py` of Transformers 5.
 */
import { z } from "zod";
import { count, flag, optional } from "./fields.ts";
import { type HfConfig, type LayerType, layerTypesOf } from "./hf_config.ts";
import { checkFile } from "./read_config.ts";

/** The fields of a config, the first two as in Keras. */
export const windowFields = {
  /** Whether decoder blocks see only a window; all of them unless `layerTypes` says which. False unless given. */
  useSlidingWindowAttention: flag(null),
  /** How many tokens the window holds, the query's own included. 32768 unless given. */
  slidingWindowSize: count(null, { fallback: 32_768 }),
  /** Which decoder blocks see only a window, where not all of them do. */
  layerTypes: optional(z.array(z.enum(["full_attention", "sliding_attention"])).readonly(), "a list of layer types"),
};

/** What a config says of windows. */
export interface WindowConfig {
  /** The number of decoder blocks. */
  readonly numLayers: number;
  /** Whether decoder blocks see only a window. */
  readonly useSlidingWindowAttention?: boolean;
  /** How many tokens the window holds. */
  readonly slidingWindowSize?: number;
  /** Which decoder blocks see only a window. */
  readonly layerTypes?: readonly LayerType[];
}

/** The window of each decoder block, in tokens; `null` for one that sees the whole text. */
export function windowsOf(config: WindowConfig): readonly (number | null)[] {
  const { slidingWindowSize = 32_768 } = config;
  return kindsOf(config).map((kind) => kind === "sliding_attention" ? slidingWindowSize : null);
}

/** What is wrong with the windows of a config, for the end of a message; `null` when nothing is. */
export function windowProblem({ numLayers, useSlidingWindowAttention = false, layerTypes }: WindowConfig) {
  if (layerTypes === undefined) return null;
  if (layerTypes.length !== numLayers) return `layerTypes has ${layerTypes.length} entries for ${numLayers} layers`;
  return useSlidingWindowAttention || !layerTypes.includes("sliding_attention")
    ? null
    : "layerTypes has sliding_attention, and useSlidingWindowAttention is false";
}

function kindsOf({ numLayers, useSlidingWindowAttention = false, layerTypes }: WindowConfig): readonly LayerType[] {
  const kind = useSlidingWindowAttention ? "sliding_attention" : "full_attention";
  return layerTypes ?? Array.from({ length: numLayers }, () => kind);
}

const schema = {
  use_sliding_window: z.boolean().nullish(),
  sliding_window: z.number().int().positive().nullish(),
  max_window_layers: z.number().int().nonnegative().nullish(),
};

/** Fields of files that `readWindows` reads. */
export const windowFileFields: readonly string[] = [...Object.keys(schema), "layer_types"];

/**
 * The windows of a file: those of a list of layers, or of all blocks from `max_window_layers` on. Where `use_sliding_window` is
 * false, as in all published models, nothing else counts.
 *
 * @throws {TypeError} when a field is of the wrong kind, or layers slide without a window.
 */
export function readWindows(file: HfConfig): Omit<WindowConfig, "numLayers"> {
  const found = checkFile(file, schema) as Readonly<Record<keyof typeof schema, number | boolean | null | undefined>>;
  const { use_sliding_window: isUsed = false, sliding_window: size = 4096, max_window_layers: first = 28 } = found;
  const window = isUsed ? size as number | null : null;
  const byDefault = (layer: number): LayerType =>
    window !== null && layer >= (first as number) ? "sliding_attention" : "full_attention";
  const layerTypes = layerTypesOf(file.raw, byDefault, file.path);
  if (!layerTypes.includes("sliding_attention")) return { useSlidingWindowAttention: false };
  if (window === null) {
    const why = isUsed ? '"sliding_window" is null' : '"use_sliding_window" is not true';
    throw new TypeError(`Cannot use "${file.path}": ${why}, but "layer_types" has layers with sliding_attention`);
  }
  return { useSlidingWindowAttention: true, slidingWindowSize: window, layerTypes };
}

/** The fields of a file, in Transformers 5's spelling, and in the older one where it can say the same. */
export function writeWindows(config: WindowConfig): Record<string, unknown> {
  const kinds = kindsOf(config);
  const slides = kinds.includes("sliding_attention");
  const first = slides ? kinds.indexOf("sliding_attention") : kinds.length;
  const isSuffix = kinds.slice(first).every((kind) => kind === "sliding_attention");
  return {
    use_sliding_window: slides,
    sliding_window: slides ? config.slidingWindowSize ?? 32_768 : null,
    ...(isSuffix ? { max_window_layers: first } : {}),
    layer_types: kinds,
  };
}
