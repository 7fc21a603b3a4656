/** The model of a request, opened without weights: by a preset's dimensions or a checkpoint's config. */
import type { DownloadReporter } from "@tessera/hub";
import { isBuiltIn, presetOf, type Training } from "@tessera/models";
import { adamW, enableLora, openPreset } from "tessera";
import type { Request } from "./request.ts";

/** A model to plan. */
export interface Model {
  /** What it is called. */
  readonly title: string;
  /** What is to be trained. */
  readonly training: Training;
}

/**
 * Opens the model of a request, with its adapters; the reporter is told of a download.
 *
 * @throws {RangeError} when there is no such preset, or the text is longer than the model's context.
 * @throws {Error} when the config cannot be read, or no layer matches the targets.
 */
export async function outline(request: Request, reporter: DownloadReporter): Promise<Model> {
  const { preset, folder, dtype, quantize, rank, targets, batchSize, length } = request;
  const { backbone, text } = await openPreset(folder ?? preset, {
    part: "config",
    reporter,
    dtype,
    ...(quantize === null ? {} : { quantize }),
  });
  if (length > text.contextLength) {
    throw new RangeError(
      `Cannot plan sequences of ${length} tokens: the model's context has ${text.contextLength}; give a smaller --length`,
    );
  }
  if (rank !== null) enableLora(backbone, { rank, targets });
  const optimizer = adamW({ learningRate: 1e-4, globalClipNorm: 1 });
  const title = folder ?? (isBuiltIn(preset) ? `${presetOf(preset).title} (${preset})` : preset);
  return { title, training: { backbone, optimizer, batchSize, length } };
}
