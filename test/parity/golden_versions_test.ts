/** One set of versions made all goldens: the one that `test/oracle/requirements.txt` pins. */
import assert from "node:assert/strict";
import { openSafetensors } from "@tessera/files";

const goldens = new URL("../goldens/", import.meta.url);

/** The folders of goldens, at any depth. */
function* folders(at: URL): Generator<URL> {
  yield at;
  for (const { name, isDirectory } of Deno.readDirSync(at)) if (isDirectory) yield* folders(new URL(`${name}/`, at));
}

Deno.test("goldens were made with the versions that are pinned", async () => {
  const text = await Deno.readTextFile(new URL("../oracle/requirements.txt", import.meta.url));
  const pins = new Map(
    text.split("\n").filter((line) => line.includes("==")).map((line) => {
      const [name, version] = line.split("==") as [string, string];
      return [name, version];
    }),
  );
  let found = 0;
  for (const folder of folders(goldens)) {
    for (const { name } of Deno.readDirSync(folder)) {
      if (!/^(golden|filters)\.safetensors$/.test(name)) continue;
      const file = await openSafetensors(new URL(name, folder).pathname);
      const madeWith: Record<string, string> = JSON.parse(file.metadata.made_with!);
      file.close();
      for (const [library, version] of Object.entries(madeWith)) {
        assert.equal(version.replace(/\+cpu$/, ""), pins.get(library), `${library} of ${folder.pathname}${name}`);
      }
      found++;
    }
  }
  assert(found > 40, `only ${found} goldens were found`);
});
