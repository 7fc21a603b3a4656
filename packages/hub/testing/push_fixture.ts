/** Pushes as tests make them: folders to push, and what has to arrive. */
import assert from "node:assert/strict";
import { writeCheckpoint, writeSafetensors } from "@tessera/files";
import { type Files, withFolder } from "@tessera/files/testing";
import { type Pushed, type PushOptions, pushToHub } from "../push/push.ts";
import type { UploadHub } from "./upload_hub.ts";

/** Where the hub is, and the token; nothing is waited for. */
export function accessTo(
  hub: Pick<UploadHub, "endpoint" | "token">,
  variables: Readonly<Record<string, string>> = {},
): PushOptions {
  const environment: Readonly<Record<string, string>> = {
    HF_ENDPOINT: hub.endpoint,
    HF_TOKEN: hub.token,
    HOME: "/nobody",
    ...variables,
  };
  return { environment: (name) => environment[name], wait: () => Promise.resolve(), reporter: null };
}

function tensor(name: string, length: number, fill: number) {
  const type = { shape: [length], dtype: "float32" } as const;
  return { name, type, read: () => ({ ...type, data: new Float32Array(length).fill(fill) }) };
}

/** The configuration of an adapter of Gemma 2 2B. */
export const adapterConfig: Readonly<Record<string, unknown>> = {
  peft_type: "LORA",
  r: 4,
  base_model_name_or_path: "google/gemma-2-2b",
};

/** Runs a test in a folder with an adapter. */
export async function withAdapter(
  run: (folder: string) => Promise<void>,
  config: unknown = adapterConfig,
): Promise<void> {
  await withFolder({ "adapter_config.json": config }, async (folder) => {
    await writeSafetensors(`${folder}/adapter_model.safetensors`, [tensor("a", 1000, 1), tensor("b", 7, 2)]);
    await run(folder);
  });
}

/** The files of a model, weights left out. */
export const modelFiles: Files = { "config.json": { model_type: "gemma2" }, "tokenizer.json": { version: "1.0" } };

/** Runs a test in a folder with a model of three tensors, in three shards or one. */
export async function withModel(run: (folder: string) => Promise<void>, shards: number = 3): Promise<void> {
  await withFolder(modelFiles, async (folder) => {
    const tensors = Array.from({ length: 3 }, (_, i) => tensor(`t${i}`, 1000, i));
    await writeCheckpoint(folder, tensors, { maxShardBytes: shards === 1 ? 1e9 : 4000 });
    await run(folder);
  });
}

/** Runs a push, and gives what it came to. */
export async function pushTo(
  hub: UploadHub,
  folder: string,
  handle: string = "hf://me/mine",
  options: PushOptions = {},
): Promise<Pushed> {
  return await pushToHub(handle, folder, { ...accessTo(hub), ...options });
}

/** The files of a repository, all bytes. */
export function filesOf(hub: UploadHub, repository: string): Map<string, Uint8Array> {
  const files = Object.entries(hub.repositories.get(repository)!.files);
  return new Map(
    files.map(([name, content]) =>
      [name, typeof content === "string" ? new TextEncoder().encode(content) : content] as const
    ),
  );
}

/** Checks that a repository has the files of a folder to the byte, and nothing else but the card. */
export async function assertPushed(hub: UploadHub, repository: string, folder: string): Promise<void> {
  const there = filesOf(hub, repository);
  const names = Array.from(Deno.readDirSync(folder), ({ name }) => name).sort();
  assert.deepEqual([...there.keys()].filter((name) => ![".gitattributes", "README.md"].includes(name)).sort(), names);
  for (const name of names) assert.deepEqual(there.get(name), await Deno.readFile(`${folder}/${name}`), name);
}
