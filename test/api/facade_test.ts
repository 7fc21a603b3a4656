/** What the facade exports, and what its sub-paths do. */
import assert from "node:assert/strict";
import { dependenciesOf, exportsOf, packages } from "./exported_names.ts";

const entries = exportsOf("tessera");

Deno.test("the facade exports a page of names, beside those of the architectures", () => {
  const ofArchitectures = new Set(exportsOf("@tessera/models").get("./architectures"));
  const own = entries.get(".")!.filter((name) => !ofArchitectures.has(name));
  assert.ok(own.length >= 50 && own.length <= 65, `${own.length} names: ${own.join(", ")}`);
  for (const name of ["GemmaCausalLM", "GemmaBackbone", "Llama3CausalLM", "Llama3Backbone"]) {
    assert.ok(ofArchitectures.has(name), name);
    assert.ok(entries.get(".")!.includes(name), name);
  }
});

Deno.test("every sub-path of the facade is a package, and every package under the facade has one", () => {
  const below = dependenciesOf("tessera");
  assert.deepEqual([...entries.keys()].sort(), [".", ...below.map((name) => name.replace("@tessera", "."))].sort());
  for (const name of below) {
    assert.ok(packages.includes(name), name);
    assert.deepEqual(entries.get(name.replace("@tessera", ".")), exportsOf(name).get("."));
  }
});
