/**
 * Runs the programs of the documentation and compares what they print with the text that follows them. After a
 * change, `deno test -A packages/core/docs_test.ts -- --update` writes what they print now.
 */
import assert from "node:assert/strict";

const update = Deno.args.includes("--update");
const block = /^```ts\n([^]*?)^```$(?:\n\n^```text\n([^]*?)^```$)?/gm;

/** Runs the code blocks of a page as one program and gives what each of them prints. */
async function runBlocks(codes: readonly string[]): Promise<string[]> {
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  const printed = codes.map((): string[] => []);
  const log = console.log;
  let at = 0;
  const scope = globalThis as { nextBlock?: () => void };
  scope.nextBlock = () => at++;
  console.log = (...values: unknown[]) => {
    printed[at]!.push(values.map((value) => typeof value === "string" ? value : Deno.inspect(value)).join(" "));
  };
  try {
    const program = codes.join("\nglobalThis.nextBlock();\n").replaceAll(
      /from "@tessera\/core(\/\w+)?"/g,
      (_, path = "/mod") => `from "${new URL(`.${path}.ts`, import.meta.url)}"`,
    );
    await Deno.writeTextFile(file, program);
    await import(`file://${file}`);
  } finally {
    console.log = log;
    delete scope.nextBlock;
    await Deno.remove(file);
  }
  return printed.map((lines) => lines.map((line) => line + "\n").join(""));
}

for (const page of ["../../docs/compiler.md", "README.md"]) {
  Deno.test(`${page.replace("../../", "")} prints what it says it does`, async () => {
    const url = new URL(page, import.meta.url);
    const text = await Deno.readTextFile(url);
    const blocks = [...text.matchAll(block)];
    assert.ok(blocks.length > 0);
    const printed = await runBlocks(blocks.map(([, code]) => code!));
    if (update) {
      let next = 0;
      const fresh = text.replaceAll(block, (whole, code, output) => {
        const now = printed[next++]!;
        return output === undefined ? whole : `\`\`\`ts\n${code}\`\`\`\n\n\`\`\`text\n${now}\`\`\``;
      });
      await Deno.writeTextFile(url, fresh);
      return;
    }
    blocks.forEach(([, , output], i) => assert.equal(printed[i], output ?? ""));
  });
}

Deno.test("the examples in mod.ts and testing.ts run", async () => {
  for (const name of ["mod.ts", "testing.ts"]) {
    const source = await Deno.readTextFile(new URL(name, import.meta.url));
    const example = /^ \* ```ts\n([^]*?)^ \* ```$/m.exec(source)![1]!.replaceAll(/^ \* ?/gm, "");
    await runBlocks([example]);
  }
});
