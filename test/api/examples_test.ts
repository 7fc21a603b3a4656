/**
 * Every example of the READMEs, of guides and of doc comments is type-checked, and those that need no more than the shipped tiny
 * model run on it: only the preset's name is another, and the hub, which is one on loopback.
 */
import assert from "node:assert/strict";
import { serveUploadHub } from "@tessera/hub/testing";
import { encodePng } from "@tessera/vision";
import { type Example, examplesOf } from "./examples.ts";
import { packages } from "./exported_names.ts";

const root = new URL("../../", import.meta.url);
const tiny = new URL("gemma2-tiny", import.meta.resolve("@tessera/tiny")).pathname;

function pages(): string[] {
  const folders = packages.map((name) => `packages/${name.replace("@tessera/", "")}`);
  const sources = folders.flatMap((folder) => {
    const files = Array.from(Deno.readDirSync(new URL(folder, root)), ({ name }) => name);
    return files.filter((name) => name === "README.md" || /(?<!_test)\.ts$/.test(name)).map((name) =>
      `${folder}/${name}`
    );
  });
  return ["README.md", "docs/add_a_model.md", ...sources.sort()];
}

const examples = pages().flatMap((page) => examplesOf(page, Deno.readTextFileSync(new URL(page, root))));

/** Examples that are not run, by something that only they have, and why. */
const notRun: readonly (readonly [mark: RegExp, reason: string])[] = [
  [/deviceCount: 16/, "the tiny model has fewer heads than the mesh has devices"],
  [/openBackend\("webgpu"\)|webgpuBackend\(/, "there may be no GPU"],
  [/PaliGemmaCausalLM|gemma3_instruct_4b/, "no model that takes images is shipped"],
  [/downloadRepository\(/, "tests reach no hub; test/models/hub_test.ts has one of its own"],
  [/conformance\(/, "it declares tests, which the backends do"],
  [/runs\/gemma2-tiny\/metrics\.json/, "it reads a run"],
  [/\.chat\(/, "the tiny model has a chat template of its own"],
];

/** Runs Deno on the examples as files of this package, so that imports resolve as a user's would, in a folder with their data. */
async function withFolder<T>(task: (folder: string) => Promise<T>): Promise<T> {
  const folder = await Deno.makeTempDir({ dir: import.meta.dirname!, prefix: ".examples-" });
  try {
    const records = [{ prompt: "1 + 1 =", response: " 2" }, { prompt: "2 + 2 =", response: " 4" }];
    await Deno.writeTextFile(`${folder}/train.jsonl`, records.map((record) => JSON.stringify(record)).join("\n"));
    await Deno.writeFile(`${folder}/holiday.jpg`, await encodePng({ width: 2, height: 2, pixels: new Uint8Array(12) }));
    for (const name of ["gemma-2-2b", "gemma-2-2b-it", "gemma-2-9b"]) await Deno.symlink(tiny, `${folder}/${name}`);
    return await task(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function deno(
  folder: string,
  args: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): Promise<{ success: boolean; output: string }> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: folder,
    env: { NO_COLOR: "1", ...variables },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { success, output: text(stdout) + text(stderr) };
}

Deno.test("there are examples, none of which is left unchecked", () => {
  assert.ok(examples.length >= 30, `${examples.length}`);
  for (const page of pages()) {
    assert.doesNotMatch(
      Deno.readTextFileSync(new URL(page, root)),
      /^( \* | {3})?```ts \w/m,
      `${page} has a fence that asks to be left out`,
    );
  }
  for (const [mark, reason] of notRun) assert.ok(examples.some(({ code }) => mark.test(code)), reason);
});

Deno.test("every example is well typed", async () => {
  await withFolder(async (folder) => {
    await Promise.all(examples.map(({ at, program }) => Deno.writeTextFile(`${folder}/${fileOf(at)}`, program)));
    const { success, output } = await deno(folder, ["check", ...examples.map(({ at }) => fileOf(at))]);
    assert.ok(success, output);
  });
});

function fileOf(at: string): string {
  return `${at.replaceAll(/\W/g, "_")}.ts`;
}

/** The program with the tiny model in place of one that would be downloaded. */
function onTiny({ program }: Example): string {
  return program.replaceAll(/fromPreset\("(?:hf:\/\/)?[\w/.-]+"/g, 'fromPreset("gemma-2-2b"');
}

for (const example of examples) {
  const { at, code, isWhole } = example;
  if (!isWhole || notRun.some(([mark]) => mark.test(code))) continue;
  Deno.test(`the example at ${at} runs`, async () => {
    await withFolder(async (folder) => {
      await Deno.writeTextFile(`${folder}/example.ts`, onTiny(example));
      await using hub = serveUploadHub();
      const variables = { HF_ENDPOINT: hub.endpoint, HF_TOKEN: hub.token };
      const { success, output } = await deno(folder, ["run", "-A", "--no-check", "example.ts"], variables);
      assert.ok(success, output);
      assert.equal(hub.commits.length, /pushToHub\(/.test(code) ? 1 : 0);
      if (/27,227,128,320/.test(code)) assert.match(output, /Total params: 27,227,128,320/);
    });
  });
}
