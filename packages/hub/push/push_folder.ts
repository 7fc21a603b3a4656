/** What a folder holds that is to be pushed: an adapter or a whole model, complete, and its files as they go to the hub. */
import { z } from "zod";
import { type Folder, isFolder, openCheckpoint, openSafetensors, readJson } from "@tessera/files";
import type { UploadFile } from "./upload_commit.ts";

/** What can be pushed: an adapter, or a whole model. */
export type PushKind = "adapter" | "model";

/** A folder that can be pushed. */
export interface PushedFolder {
  /** What it holds. */
  readonly kind: PushKind;
  /** The repository of the base model that an adapter names, such as `google/gemma-2-9b`; `null` when it names none. */
  readonly baseModel: string | null;
  /** The kind of architecture that the config of a whole model names, such as `gemma2`. */
  readonly modelType: string | null;
  /** Its files, without hidden ones. */
  readonly files: readonly UploadFile[];
}

const adapterConfig = "adapter_config.json";
const weightsName = /^model(-\d{5}-of-\d{5})?\.safetensors$|^model\.safetensors\.index\.json$/;

/** Whether a name is one of those that the weights of a whole model have. */
export function isWeightsFile(name: string): boolean {
  return weightsName.test(name);
}

/** Whether files of these names make an adapter or a whole model; `null` for neither. */
export function kindOf(names: readonly string[]): PushKind | null {
  if (names.includes(adapterConfig)) return "adapter";
  return names.some(isWeightsFile) ? "model" : null;
}

/**
 * Reads and checks the folder of an adapter or of a whole model. `baseModel` is the repository that the adapter is to name where it
 * names a folder of this machine; without it, it then names none.
 *
 * @throws {Error} when it is neither, or is not complete.
 */
export async function readPushedFolder(folder: Folder, baseModel: string | null): Promise<PushedFolder> {
  const cannot = `Cannot push "${folder.path}"`;
  const names = (await folder.list())?.filter((name) => !name.startsWith(".")).sort();
  if (names === undefined) throw new Error(`${cannot}: there is no such folder`);
  const kind = names.includes("config.json") && !names.includes(adapterConfig) ? "model" : kindOf(names);
  if (kind === null) {
    throw new Error(
      `${cannot}: it holds neither an adapter (${adapterConfig}) nor a model (config.json); expected what saveAdapter() or ` +
        "saveToPreset() wrote",
    );
  }
  const needed = kind === "adapter" ? ["adapter_model.safetensors"] : ["config.json", "tokenizer.json"];
  const missing = needed.filter((name) => !names.includes(name));
  if (missing.length > 0) {
    throw new Error(`${cannot}: ${missing.join(" and ")} ${missing.length > 1 ? "are" : "is"} missing`);
  }
  // Opening checks that every file of the weights is there and whole.
  const open = kind === "adapter" ? openSafetensors(folder.file("adapter_model.safetensors")) : openCheckpoint(folder);
  (await open).close();
  const files = await Promise.all(names.map(async (path) => ({ path, content: await folder.file(path).blob() })));
  if (kind === "model") {
    const { model_type } = await readJson(
      folder.file("config.json"),
      z.looseObject({ model_type: z.string().optional() }),
    );
    return { kind, baseModel, modelType: model_type ?? null, files };
  }
  const config = await readJson(folder.file(adapterConfig), z.record(z.string(), z.unknown()));
  const { base_model_name_or_path: named = null } = config;
  if (typeof named === "string" && await isRepository(named)) return { kind, baseModel: named, modelType: null, files };
  const text = JSON.stringify({ ...config, base_model_name_or_path: baseModel }, null, 2) + "\n";
  const renamed = { path: adapterConfig, content: new Blob([text]) };
  return {
    kind,
    baseModel,
    modelType: null,
    files: files.map((file) => file.path === adapterConfig && named !== baseModel ? renamed : file),
  };
}

/** Whether a text names a repository, rather than a folder of this machine. */
async function isRepository(name: string): Promise<boolean> {
  return /^[\w-][\w.-]*\/[\w-][\w.-]*$/.test(name) && !(await isFolder(name));
}
