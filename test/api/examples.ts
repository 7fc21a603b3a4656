/** The examples of the READMEs, of guides and of doc comments, as programs. */

/** A block of code of a page. */
export interface Example {
  /** Where it stands, such as `packages/lora/README.md:5`. */
  readonly at: string;
  /** The code. */
  readonly code: string;
  /** The program: what the text around the code takes for granted, then the code. */
  readonly program: string;
  /** Whether it can run: nothing that it takes for granted is only declared. */
  readonly isWhole: boolean;
}

/** What examples take for granted, as a program has it. */
const made: Readonly<Record<string, string>> = {
  backend: 'const backend = await (await import("@tessera/backends")).defaultBackend();',
  lm: 'const lm = await (await import("tessera")).CausalLM.fromPreset("gemma-2-2b");',
  model: 'const model = await (await import("tessera")).CausalLM.fromPreset("gemma-2-2b");',
  tokenizer: 'const tokenizer = await (await import("tessera")).loadTokenizer("gemma-2-2b");',
  write: "const write = (text: string) => console.log(text);",
};

/** What examples take for granted that is too much to make for them; they are type-checked only. */
const declared: Readonly<Record<string, string>> = {
  backbone: 'declare const backbone: import("tessera").Backbone;',
  rows: 'declare const rows: readonly import("@tessera/convert").TensorRow[];',
  moduleNames: 'declare const moduleNames: import("@tessera/lora").ModuleNames;',
  trainer: 'declare const trainer: import("@tessera/train").Trainer;',
  dataset: 'declare const dataset: import("tessera").Dataset;',
  tools: "declare const tools: readonly object[];",
  graph: 'declare const graph: import("@tessera/core").Graph;',
  device: 'declare const device: import("@tessera/runtime").Device;',
  partitioned: 'declare const partitioned: import("@tessera/mesh").Partitioned;',
  distribution: 'declare const distribution: import("tessera").Distribution;',
  batch: 'declare const batch: import("@tessera/runtime").DeviceBuffer;',
  state: 'declare const state: import("@tessera/runtime").DeviceBuffer;',
  block: 'declare const block: import("@tessera/models").ModelScope;',
  config: "declare const config: { readonly attentionBias: boolean };",
  hiddenDim: "declare const hiddenDim: number;",
  headDim: "declare const headDim: number;",
  numQueryHeads: "declare const numQueryHeads: number;",
  weights: 'declare const weights: import("@tessera/runtime").DeviceBuffer;',
};

/** Whether a program uses a name that it neither declares nor imports. */
function takes(code: string, name: string): boolean {
  const bare = code.replaceAll(/\/\/.*$/gm, "").replaceAll(/"[^"\n]*"/g, '""');
  const binds = new RegExp(
    `(?:const|let|import)[^=;]*\\b${name}\\b[^;]*?(?:=|\\bfrom\\b)|[({,]\\s*${name}\\s*[:,})].*=>`,
  );
  const uses = new RegExp(`(?<![.\\w"])${name}\\b(?!["\\w]|\\s*:)`);
  return uses.test(bare) && !binds.test(bare);
}

/** The examples of a page, whose blocks of TypeScript may stand in comments and in lists. */
export function examplesOf(page: string, text: string): Example[] {
  return Array.from(text.matchAll(/^( \* | {3})?```ts( .*)?\n([^]*?)^(?: \* | {3})?```$/gm), (found) => {
    const [, begin = "", , block] = found as unknown as [string, string | undefined, string | undefined, string];
    const code = begin === "" ? block : block.replaceAll(/^(?: \* ?| {3})/gm, "");
    const names = (table: object) => Object.keys(table).filter((name) => takes(code, name));
    const given = [...names(made).map((name) => made[name]), ...names(declared).map((name) => declared[name])];
    return {
      at: `${page}:${text.slice(0, found.index).split("\n").length}`,
      code,
      program: [...given, code, "export {};", ""].join("\n"),
      isWhole: names(declared).length === 0,
    };
  });
}
