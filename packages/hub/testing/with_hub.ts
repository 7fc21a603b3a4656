/** A process whose hub is one on loopback, and whose cache is empty. */
import { type HubServer, type ServedRepository, serveHub } from "./hub_server.ts";

/** The variables that say where models are. */
const variables = [
  "HF_ENDPOINT",
  "HF_HOME",
  "HF_HUB_CACHE",
  "HF_HUB_OFFLINE",
  "HF_TOKEN",
  "HF_TOKEN_PATH",
  "TESSERA_MODELS",
];

/** Runs a test in an environment whose hub has some repositories, with an empty folder `home` for `HF_HOME`. */
export async function withHub(
  repositories: Readonly<Record<string, ServedRepository>>,
  run: (hub: HubServer, home: string) => Promise<void>,
): Promise<void> {
  const before = variables.map((name) => [name, Deno.env.get(name)] as const);
  const home = await Deno.makeTempDir({ prefix: "tessera-hub-" });
  await using hub = serveHub(repositories);
  try {
    for (const name of variables) Deno.env.delete(name);
    Deno.env.set("HF_ENDPOINT", hub.endpoint);
    Deno.env.set("HF_HOME", home);
    Deno.env.set("TESSERA_MODELS", `${home}/no-models`);
    await run(hub, home);
  } finally {
    for (const [name, value] of before) value === undefined ? Deno.env.delete(name) : Deno.env.set(name, value);
    await Deno.remove(home, { recursive: true });
  }
}

/** The files of a folder, to be served. */
export async function filesOf(folder: string): Promise<Record<string, Uint8Array<ArrayBuffer>>> {
  const files: Record<string, Uint8Array<ArrayBuffer>> = {};
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (isFile) files[name] = await Deno.readFile(`${folder}/${name}`);
  }
  return files;
}
