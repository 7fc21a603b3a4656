import assert from "node:assert/strict";
import plugin from "./lint_plugin.ts";

/** The messages that the plugin reports for a source. */
function lint(source: string, file = "file.ts"): string[] {
  return Deno.lint.runPlugin(plugin, file, source).map((diagnostic) => diagnostic.message);
}

const capital = "An error message starts with a capital letter";
const period = "An error message ends without a period";

Deno.test("error-message accepts what the guide asks for", () => {
  const accepted = [
    'new TypeError("Cannot add float32[2,3] and int32[2,3]: dtypes must match")',
    'new RangeError(`Cannot read "${path}": found ${n} bytes`)',
    "new Error(`${path}: is no folder`)",
    'new Error("Cannot read " + path)',
    'new Error(`"${op}" was traced here`)',
    "new Error(message)",
    "new Error()",
    'new AggregateError([], "Several tensors are missing")',
    'new Map("lower case. ")',
    'format("lower case.")',
  ];
  for (const code of accepted) assert.deepEqual(lint(`throw ${code};`), [], code);
});

Deno.test("error-message reports each departure", () => {
  const refused: [code: string, problems: string[]][] = [
    ['new TypeError("cannot add")', [capital]],
    ['Error("cannot add")', [capital]],
    ['new RangeError("Cannot add.")', [period]],
    ["new Error(`Cannot add ${a}.`)", [period]],
    ['new Error("cannot add " + a + ".")', [capital, period]],
    ['new AggregateError([], "several")', [capital]],
    ['new UnsupportedOpError("unsupported")', [capital]],
    ['new Error("Rank can\'t be 0")', ['An error message has no contractions: "can\'t"']],
    ["new Error(`${a} and it's ${b}`)", ['An error message has no contractions: "it\'s"']],
  ];
  for (const [code, problems] of refused) assert.deepEqual(lint(`throw ${code};`), problems, code);
});

Deno.test("doc-comment reports exports without one", () => {
  const source = [
    "/** Documented. */",
    "function hidden() {}",
    "export function f() {}",
    "export const a = 1, b = 2;",
    "export class C {}",
    "export abstract class D {}",
    "export type T = number;",
    "// not a doc comment",
    "export interface I {}",
  ].join("\n");
  const names = ["f", "a", "C", "D", "T", "I"];
  assert.deepEqual(lint(source), names.map((name) => `Exported "${name}" has no doc comment`));
});

Deno.test("doc-comment accepts documented exports, re-exports and overloads", () => {
  const source = [
    "/** Adds. */",
    "export function f(a: string): void;",
    "export function f(a: number): void;",
    "export function f(_: unknown) {}",
    "/** A type. */",
    "// deno-lint-ignore no-explicit-any",
    "export type T = any;",
    'export { g } from "./g.ts";',
  ].join("\n");
  assert.deepEqual(lint(source), []);
});

Deno.test("doc-comment reports members of exported interfaces", () => {
  const source = [
    "/** Shown, with a → in it. */",
    "export interface I {",
    "  /** Documented. */",
    "  a: number;",
    "  b: number;",
    "  /** Overloaded. */",
    "  c(x: string): void;",
    "  c(x: number): void;",
    '  "d-e"(): void;',
    "  [key: string]: unknown;",
    "}",
    "interface Hidden { f: number }",
  ].join("\n");
  assert.deepEqual(lint(source), [
    'Member "b" of exported interface "I" has no doc comment',
    'Member "d-e" of exported interface "I" has no doc comment',
  ]);
});

Deno.test("doc-comment asks an entry file for a module comment", () => {
  const bare = 'export { f } from "./f.ts";';
  assert.deepEqual(lint(bare, "mod.ts"), ["Entry file has no @module comment"]);
  assert.deepEqual(lint(`/**\n * Functions.\n *\n * @module\n */\n${bare}`, "mod.ts"), []);
});

Deno.test("both rules leave tests alone", () => {
  assert.deepEqual(lint('throw new Error("device lost");', "a_test.ts"), []);
  assert.deepEqual(lint("export const a = 1;", "a_test.ts"), []);
  assert.deepEqual(lint("export const a = 1;", "testdata/a.ts"), []);
});
