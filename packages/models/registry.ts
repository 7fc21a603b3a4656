/** Finds architectures: by the `model_type` of a checkpoint, and by the names of their presets. */
import { listNames } from "@tessera/text";
import type { Architecture, BuildOptions, BuiltModel, PresetSpec } from "./architecture/architecture.ts";
import type { HfConfig } from "./architecture/hf_config.ts";
import * as exported from "./architectures.ts";

type Registered = Extract<(typeof exported)[keyof typeof exported], { readonly modelTypes: readonly string[] }>;

/** The name of a preset, as KerasHub spells it. */
export type PresetName = Registered extends infer Each
  ? Each extends { readonly presets: infer Presets } ? keyof Presets & string
  : never
  : never;

/** An architecture whose config is not looked into. */
type AnyArchitecture = Architecture<unknown, Readonly<Record<string, PresetSpec<unknown>>>>;

/** Every architecture. */
export const architectures: readonly AnyArchitecture[] = Object.values(exported).filter((each) =>
  "modelTypes" in each
) as unknown as AnyArchitecture[];

const byModelType = new Map(
  architectures.flatMap((architecture) => architecture.modelTypes.map((type) => [type, architecture] as const)),
);

/**
 * The model that a checkpoint's config describes, without values.
 *
 * @throws {TypeError} when Tessera does not know the architecture, or when the config is wrong.
 */
export function buildModel(file: HfConfig, options: BuildOptions = {}): BuiltModel {
  const architecture = byModelType.get(file.modelType);
  if (architecture === undefined) {
    const names = [...byModelType.keys()];
    // A program has written the config: "gemma3n" or "mllama" is no slip, but another architecture.
    const bare = (name: string) => name.replaceAll(/[_-]/g, "").toLowerCase();
    const meant = names.find((name) => bare(name) === bare(file.modelType));
    throw new TypeError(
      `Cannot load "${file.path}": Tessera has no architecture for "model_type": "${file.modelType}"; ` +
        (meant === undefined ? "" : `did you mean "${meant}"? `) + `it has ${listNames(names, Infinity)}`,
    );
  }
  const { config, text } = architecture.readConfig(file);
  return architecture.build(config, { ...options, text });
}
