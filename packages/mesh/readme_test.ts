/** The README's example runs and prints what stands after it. */
import assert from "node:assert/strict";

const readme = await Deno.readTextFile(new URL("README.md", import.meta.url));

Deno.test("the README's example prints what it says it does", async () => {
  const [, code, printed] = /^```ts\n([^]*?)^```\n\n```text\n([^]*?)^```$/m.exec(readme)!;
  const file = await Deno.makeTempFile({ dir: import.meta.dirname!, prefix: ".readme_", suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, code!);
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--check", file],
      env: { NO_COLOR: "1" },
    }).output();
    assert.equal(new TextDecoder().decode(stdout), printed, new TextDecoder().decode(stderr));
  } finally {
    await Deno.remove(file);
  }
});
