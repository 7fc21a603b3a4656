/** The model of a request, built without values: from a preset's dimensions or a checkpoint's config. */
import {
  adamW,
  buildModel,
  buildPreset,
  type DownloadReporter,
  enableLora,
  folderOfPreset,
  isBuiltIn,
  parseHandle,
  presetOf,
  readHfConfig,
  type Training,
} from "tessera";
import type { Request } from "./request.ts";

/** A model to plan. */
export interface Model {
  /** What it is called. */
  readonly title: string;
  /** What is to be trained. */
  readonly training: Training;
}

/**
 * The folder with the `config.json` of a request, which is downloaded for a handle of another repository than the presets';
 * `null` for those, whose dimensions are built in.
 */
async function configFolder({ preset, folder }: Request, reporter: DownloadReporter): Promise<string | null> {
  if (folder !== null || parseHandle(preset) === null || isBuiltIn(preset)) return folder;
  return await folderOfPreset(preset, { part: "config", reporter });
}

/**
 * Builds the model of a request, with its adapters; the reporter is told of a download.
 *
 * @throws {RangeError} when there is no such preset, or the text is longer than the model's context.
 * @throws {Error} when the config cannot be read, or no layer matches the targets.
 */
export async function outline(request: Request, reporter: DownloadReporter): Promise<Model> {
  const { preset, dtype, quantize, rank, targets, batchSize, length } = request;
  const build = { dtype, ...(quantize === null ? {} : { quantize }) };
  const folder = await configFolder(request, reporter);
  const model = folder === null ? buildPreset(preset, build) : buildModel(await readHfConfig(folder), build);
  const { backbone, text } = model;
  if (length > text.contextLength) {
    throw new RangeError(
      `Cannot plan sequences of ${length} tokens: the model's context has ${text.contextLength}; give a smaller --length`,
    );
  }
  if (rank !== null) enableLora(backbone, { rank, targets });
  const optimizer = adamW({ learningRate: 1e-4, globalClipNorm: 1 });
  const title = request.folder ?? (folder === null ? `${presetOf(preset).title} (${preset})` : preset);
  return { title, training: { backbone, optimizer, batchSize, length } };
}
