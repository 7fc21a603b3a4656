/** No export of a package has the name of a global of JavaScript, of Deno, of Node or of a browser's page. */
import assert from "node:assert/strict";
import { exportsOf, packages } from "./exported_names.ts";

/** Those of the names that mean something to the type checker where nothing is imported or declared. */
async function globalsAmong(names: readonly string[]): Promise<string[]> {
  const folder = await Deno.makeTempDir();
  try {
    const uses = names.map((name, i) => `export type Use${i} = ${name};`);
    const libraries = ['/// <reference lib="dom" />', '/// <reference lib="dom.iterable" />'];
    await Deno.writeTextFile(`${folder}/uses.ts`, [...libraries, ...uses].join("\n"));
    const { stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["check", `${folder}/uses.ts`],
      env: { NO_COLOR: "1" },
    }).output();
    const unknown = new Set(
      Array.from(new TextDecoder().decode(stderr).matchAll(/Cannot find name '(\w+)'/g), ([, name]) => name),
    );
    return names.filter((name) => !unknown.has(name));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("the type checker knows globals of every kind from other names", async () => {
  assert.deepEqual(
    await globalsAmong(["Buffer", "GraphNode", "Generator", "Node", "print", "Deno", "CausalLM"]),
    ["Buffer", "Generator", "Node", "print", "Deno"],
  );
});

Deno.test("no export of a package has the name of a global", async () => {
  const owners = new Map(
    packages.flatMap((name) => {
      return Array.from(
        exportsOf(name),
        ([entry, names]) => names.map((exported) => [exported, name + entry.slice(1)]),
      );
    }).flat() as [string, string][],
  );
  assert.ok(owners.size > 500);
  const globals = await globalsAmong([...owners.keys()]);
  assert.deepEqual(globals.map((name) => `${name} of ${owners.get(name)}`), []);
});

Deno.test("these tests see every package", () => {
  const folders = Array.from(Deno.readDirSync(new URL("../../packages", import.meta.url)), ({ name }) => name);
  const names = folders.map((folder) => folder === "tessera" ? folder : `@tessera/${folder}`);
  assert.deepEqual(packages.toSorted(), names.sort());
});
