import assert from "node:assert/strict";
import { findImports, splitSpecifier } from "./imports.ts";

function specifiers(source: string): string[] {
  return findImports(source).map((found) => found.specifier);
}

Deno.test("findImports() finds every form of import", () => {
  const source = [
    'import assert from "node:assert/strict";',
    'import { a,\n  b } from "./many_lines.ts";',
    'import * as c from "./star.ts";',
    'export { d } from "./again.ts";',
    'export * from "./all.ts";',
    'import "./effect.ts";',
    'const e = await import("./later.ts");',
  ].join("\n");
  assert.deepEqual(specifiers(source), [
    "node:assert/strict",
    "./many_lines.ts",
    "./star.ts",
    "./again.ts",
    "./all.ts",
    "./effect.ts",
    "./later.ts",
  ]);
});

Deno.test("findImports() passes over comments and other strings", () => {
  const source = [
    "/**",
    ' * import { a } from "./example.ts";',
    " */",
    '// await import("./comment.ts")',
    'export const from = "./value.ts";',
    'export function f() { return "text"; }',
  ].join("\n");
  assert.deepEqual(specifiers(source), []);
});

Deno.test("findImports() tells what is loaded at run time", () => {
  const source = [
    'import type { A } from "./a.ts";',
    'import { type B, type C } from "./b.ts";',
    'import { type D, e } from "./d.ts";',
    'export type { F } from "./f.ts";',
    'import {} from "./g.ts";',
  ].join("\n");
  assert.deepEqual(findImports(source).map((found) => found.typeOnly), [true, true, false, true, false]);
});

Deno.test("splitSpecifier() separates the package from the path in it", () => {
  assert.deepEqual(splitSpecifier("zod"), { name: "zod", subpath: "." });
  assert.deepEqual(splitSpecifier("zod/v4/core"), { name: "zod", subpath: "./v4/core" });
  assert.deepEqual(splitSpecifier("@tessera/core"), { name: "@tessera/core", subpath: "." });
  assert.deepEqual(splitSpecifier("@tessera/models/gemma"), { name: "@tessera/models", subpath: "./gemma" });
});
