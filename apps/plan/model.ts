/** The model of a request, built without values: from a preset's dimensions or a checkpoint's config. */
import { adamW, buildModel, buildPreset, enableLora, presetOf, readHfConfig, type Training } from "tessera";
import type { Request } from "./request.ts";

/** A model to plan. */
export interface Model {
  /** What it is called. */
  readonly title: string;
  /** What is to be trained. */
  readonly training: Training;
}

/**
 * Builds the model of a request, with its adapters.
 *
 * @throws {RangeError} when there is no such preset, or the text is longer than the model's context.
 * @throws {Error} when the config cannot be read, or no layer matches the targets.
 */
export async function outline(request: Request): Promise<Model> {
  const { preset, folder, dtype, quantize, rank, targets, batchSize, length } = request;
  const build = { dtype, ...(quantize === null ? {} : { quantize }) };
  const model = folder === null ? buildPreset(preset, build) : buildModel(await readHfConfig(folder), build);
  const { backbone, text } = model;
  if (length > text.contextLength) {
    throw new RangeError(
      `Cannot plan sequences of ${length} tokens: the model's context has ${text.contextLength}; give a smaller --length`,
    );
  }
  if (rank !== null) enableLora(backbone, { rank, targets });
  const optimizer = adamW({ learningRate: 1e-4, globalClipNorm: 1 });
  const title = folder ?? `${presetOf(preset).title} (${preset})`;
  return { title, training: { backbone, optimizer, batchSize, length } };
}
