/** The README's examples: all are type-checked, and those that need no checkpoint are run. */
import assert from "node:assert/strict";

const readme = await Deno.readTextFile(new URL("../README.md", import.meta.url));
const blocks = [...readme.matchAll(/^```ts( ignore)?\n([\s\S]*?)^```$/gm)].map(([, ignore, code]) => ({
  runs: ignore === undefined,
  code: code!,
}));

/** Runs Deno on a piece of code as a file of this package, so that imports resolve as a user's would. */
async function deno(command: readonly string[], code: string): Promise<{ success: boolean; output: string }> {
  const folder = await Deno.makeTempDir({ dir: new URL(".", import.meta.url).pathname, prefix: ".readme-" });
  try {
    const file = `${folder}/example.ts`;
    await Deno.writeTextFile(file, code);
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [...command, file],
      env: { NO_COLOR: "1" },
    })
      .output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { success, output: text(stdout) + text(stderr) };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("the README has examples that load a checkpoint, on a machine, on a mesh and in a page, and one that runs without any", () => {
  assert.deepEqual(blocks.map(({ runs }) => runs), [false, true, false, false]);
});

blocks.forEach(({ runs, code }, i) => {
  Deno.test(`example ${i + 1} of the README is ${runs ? "right when it runs" : "well typed"}`, async () => {
    const { success, output } = await deno(runs ? ["run", "-A", "--check"] : ["check"], code);
    assert(success, output);
    if (runs) assert.match(output, /Total params: 27,227,128,320/);
  });
});
