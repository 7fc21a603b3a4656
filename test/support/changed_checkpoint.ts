/** Goldens whose config or tensors are changed, for tests of folders that do not fit. */
import type { HostTensor } from "@tessera/core";
import { openCheckpoint, writeSafetensors } from "@tessera/files";
import { golden, withFolder } from "./models.ts";

/** What differs from a golden. */
export interface CheckpointChanges {
  /** Fields of its config. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Changes its tensors, by name. */
  readonly tensors?: (tensors: Map<string, HostTensor>) => void;
}

/** Copies the folder of a golden, such as `llama/llama3_gqa`, changes its config and its tensors, and runs a test with it. */
export async function withChanged(
  name: string,
  changes: CheckpointChanges,
  run: (folder: string) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const config = JSON.parse(await Deno.readTextFile(golden(`${name}/config.json`)));
    await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify({ ...config, ...changes.config }));
    const checkpoint = await openCheckpoint(golden(name));
    const tensors = new Map([...checkpoint.tensors.keys()].map((key) => [key, checkpoint.read(key)]));
    changes.tensors?.(tensors);
    const sources = Array.from(tensors, ([key, type]) => ({ name: key, type, read: () => type }));
    await writeSafetensors(`${folder}/model.safetensors`, sources);
    checkpoint.close();
    await run(folder);
  });
}
