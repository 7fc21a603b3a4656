import assert from "node:assert/strict";
import { checkGraph } from "./check_graph.ts";
import { withTree } from "./testing.ts";

/** A manifest's fields. */
type Fields = Record<string, unknown>;

/** The two manifests of a package, with the given changes. */
function member(folder: string, name: string, npm: Fields = {}, deno: Fields = {}): Record<string, string> {
  const common = { name, version: "0.1.0", exports: "./mod.ts" };
  return {
    [`${folder}/deno.json`]: JSON.stringify({ ...common, ...deno }),
    [`${folder}/package.json`]: JSON.stringify({ ...common, scripts: { test: "deno test" }, ...npm }),
  };
}

/** Three packages that keep all the rules. */
const good = {
  "package.json": JSON.stringify({ workspaces: ["packages/*"], devDependencies: { "turbo": "2.11.9" } }),
  ...member("packages/core", "@tessera/core"),
  "packages/core/mod.ts": 'export { add } from "./add.ts";\n',
  "packages/core/add.ts": 'import type * as mod from "./mod.ts";\nexport const add = 1;\n',
  "packages/core/add_test.ts": 'import assert from "node:assert/strict";\n',
  ...member("packages/runtime", "@tessera/runtime", { devDependencies: { "fast-check": "4.10.2" } }),
  "packages/runtime/mod_test.ts": 'import fc from "fast-check";\n',
  ...member("packages/nn", "@tessera/nn", { dependencies: { "@tessera/core": "*", "zod": "4.6.7" } }),
  "packages/nn/mod.ts": 'import { add } from "@tessera/core";\nimport { z } from "zod";\n',
  ...member("packages/models", "@tessera/models", { dependencies: { "@tessera/core": "*", "@tessera/nn": "*" } }),
  "packages/models/gemma/mod.ts": 'import "@tessera/nn";\nimport "../shared.ts";\n',
  "packages/models/shared.ts": "",
};

Deno.test("checkGraph() finds nothing wrong with a tree that keeps the rules", () => {
  withTree(good, (root) => assert.deepEqual(checkGraph(root), []));
});

/** What to add to the good tree, and the problems that must then be found. */
const wrong: { name: string; files: Record<string, string>; problems: string[] }[] = [
  {
    name: "an import from a higher layer",
    files: { "packages/core/bad.ts": 'import { x } from "@tessera/nn";' },
    problems: ['packages/core/bad.ts: imports "@tessera/nn", which is not in a lower layer'],
  },
  {
    name: "an import from a higher layer in a test",
    files: { "packages/core/bad_test.ts": 'import { x } from "@tessera/nn";' },
    problems: ['packages/core/bad_test.ts: imports "@tessera/nn", which is not in a lower layer'],
  },
  {
    name: "a declared dependency on a higher layer",
    files: member("packages/core", "@tessera/core", { devDependencies: { "@tessera/nn": "*" } }),
    problems: ["packages/core: declares @tessera/nn, which is not in a lower layer"],
  },
  {
    name: "slow tests that no script runs, or that run as quick ones",
    files: {
      "packages/nn/fit_slow_test.ts": "",
      "packages/models/gemma/fit_slow_test.ts": "",
      ...member("packages/models", "@tessera/models", {
        dependencies: { "@tessera/core": "*", "@tessera/nn": "*" },
        scripts: {
          "test": 'deno test --ignore="**/*_slow_test.ts"',
          "test:slow": 'deno test "**/*_slow_test.ts"',
        },
      }),
    },
    problems: [
      'packages/nn: has slow tests, which the script "test" in package.json must leave out by --ignore="**/*_slow_test.ts"',
      'packages/nn: has slow tests, which a script "test:slow" in package.json must run: deno test … "**/*_slow_test.ts"',
    ],
  },
  {
    name: "a script for slow tests where there are none",
    files: member("packages/runtime", "@tessera/runtime", {
      devDependencies: { "fast-check": "4.10.2" },
      scripts: { "test": "deno test", "test:slow": 'deno test "**/*_slow_test.ts"' },
    }),
    problems: ['packages/runtime: has a script "test:slow" in package.json, and no file named x_slow_test.ts'],
  },
  {
    name: "an import of a sibling",
    files: {
      ...member("packages/backend-onnx", "@tessera/backend-onnx"),
      ...member("packages/backend-webgpu", "@tessera/backend-webgpu"),
      "packages/backend-webgpu/mod.ts": 'import "@tessera/backend-onnx";',
    },
    problems: ['packages/backend-webgpu/mod.ts: imports "@tessera/backend-onnx", which is not in a lower layer'],
  },
  {
    name: "an application that imports another",
    files: {
      "package.json": JSON.stringify({ workspaces: ["packages/*", "apps/*"] }),
      ...member("apps/finetune", "@tessera/finetune"),
      ...member("apps/browser", "@tessera/browser"),
      "apps/browser/page.ts": 'import "@tessera/finetune";',
    },
    problems: ['apps/browser/page.ts: imports "@tessera/finetune", which is not in a lower layer'],
  },
  {
    name: "an undeclared package of the workspace",
    files: member("packages/nn", "@tessera/nn", { dependencies: { zod: "4.6.7" } }),
    problems: ['packages/nn/mod.ts: imports "@tessera/core", which its package.json does not declare'],
  },
  {
    name: "a package of npm that is declared for tests only, or not at all",
    files: {
      "packages/runtime/bad.ts": 'import fc from "fast-check";',
      "packages/nn/bad_test.ts": 'import fc from "fast-check";\nimport turbo from "turbo";',
    },
    problems: [
      'packages/nn/bad_test.ts: imports "fast-check", which its package.json does not declare',
      'packages/nn/bad_test.ts: imports "turbo", which its package.json does not declare',
      'packages/runtime/bad.ts: imports "fast-check", which its package.json does not declare',
    ],
  },
  {
    name: "a file of another package by name",
    files: { "packages/nn/bad.ts": 'import "@tessera/core/add.ts";' },
    problems: ['packages/nn/bad.ts: imports "@tessera/core/add.ts", which its package.json does not export'],
  },
  {
    name: "a file of another package by path",
    files: { "packages/nn/layers/bad.ts": 'export * from "../../core/add.ts";' },
    problems: [
      'packages/nn/layers/bad.ts: imports "../../core/add.ts", which lies outside the package; import it by its name',
    ],
  },
  {
    name: "imports by address and by registry",
    files: {
      "packages/nn/bad.ts":
        'export * from "jsr:@std/path";\nexport * from "npm:zod@4";\nexport * from "https://a.example/b.ts";',
    },
    problems: ["jsr:@std/path", "npm:zod@4", "https://a.example/b.ts"].map((specifier) =>
      `packages/nn/bad.ts: imports "${specifier}", not by a name that package.json declares`
    ),
  },
  {
    name: "a package that imports itself by name",
    files: { "packages/nn/bad.ts": 'import "@tessera/nn";', "packages/nn/good_test.ts": 'import "@tessera/nn";' },
    problems: ['packages/nn/bad.ts: imports "@tessera/nn", its own package; import the file by its path'],
  },
  {
    name: "a cycle of files",
    files: {
      "packages/nn/a.ts": 'import "./b.ts";',
      "packages/nn/b.ts": 'import { c } from "./c.ts";',
      "packages/nn/c.ts": 'export { a } from "./a.ts";',
    },
    problems: ["packages/nn: has an import cycle: a.ts -> b.ts -> c.ts -> a.ts"],
  },
  {
    name: "manifests that disagree",
    files: member("packages/models", "@tessera/models", { dependencies: { "@tessera/nn": "*" } }, {
      name: "@tessera/model",
      version: "0.2.0",
      exports: { ".": "./mod.ts", "./gemma": "./gemma/mod.ts" },
    }),
    problems: [
      'packages/models: is named "@tessera/model" in deno.json and "@tessera/models" in package.json',
      "packages/models: has version 0.2.0 in deno.json and 0.1.0 in package.json",
      'packages/models: exports {".":"./mod.ts","./gemma":"./gemma/mod.ts"} in deno.json and {".":"./mod.ts"} in package.json',
    ],
  },
  {
    name: "packages of different versions",
    files: member("packages/core", "@tessera/core", { version: "0.2.0" }, { version: "0.2.0" }),
    problems: ["the workspace: has several versions: 0.2.0 (packages/core), 0.1.0 (packages/models)"],
  },
  {
    name: "versions of dependencies that are open, differ, or name a package of the workspace",
    files: member("packages/models", "@tessera/models", { dependencies: { zod: "^4.6.7", "@tessera/nn": "0.1.0" } }),
    problems: [
      "zod: has several versions: ^4.6.7 (packages/models), 4.6.7 (packages/nn)",
      "@tessera/nn: has several versions: 0.1.0 (packages/models), * (packages/tessera)",
      'packages/models/package.json: pins zod to "^4.6.7"; name one exact version',
      'packages/models/package.json: pins @tessera/nn to "0.1.0"; packages of the workspace take "*"',
    ],
  },
  {
    name: "an import map",
    files: member("packages/models", "@tessera/models", { dependencies: { "@tessera/nn": "*" } }, {
      imports: { "@std/path": "jsr:@std/path" },
    }),
    problems: ['packages/models: maps an import to "jsr:@std/path" in deno.json; declare it in package.json'],
  },
  {
    name: "a package that turbo would not test",
    files: member("packages/core", "@tessera/core", { scripts: {} }),
    problems: ['packages/core: has no script "test" in package.json, so turbo runs none of its tests'],
  },
  {
    name: "a package that has one manifest only",
    files: { "packages/lora/mod.ts": "", "packages/lora/deno.json": "{}" },
    problems: ["packages/lora: has no package.json, so turbo does not see it"],
  },
  {
    name: "a package without a layer",
    files: member("packages/extra", "@tessera/extra"),
    problems: ["packages/extra: has no place in the layers of tools/check_graph.ts"],
  },
];

for (const { name, files, problems } of wrong) {
  Deno.test(`checkGraph() reports ${name}`, () => {
    const user = member("packages/tessera", "tessera", { dependencies: { "@tessera/nn": "*" } });
    withTree({ ...good, ...user, ...files }, (root) => assert.deepEqual(checkGraph(root), problems));
  });
}

Deno.test("checkGraph() names the manifest that does not parse", () => {
  withTree({ ...good, "packages/core/package.json": "{" }, (root) => {
    assert.throws(() => checkGraph(root), { name: "SyntaxError", message: /packages\/core\/package\.json/ });
  });
});
