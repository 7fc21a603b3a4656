import assert from "node:assert/strict";
import { join } from "node:path";
import { filesOf, type HubServer, withHub } from "@tessera/hub/testing";
import { main } from "../main.ts";
import { tinyFolder } from "../job/tiny_config.ts";

const weightsOf = ({ requests }: HubServer) => requests.filter(({ server }) => server === "cdn");

/** Runs a test with a hub that has the tiny model, some data, and what the program prints. */
async function withJob(
  use: (
    hub: HubServer,
    run: (...flags: string[]) => Promise<number>,
    printed: () => string,
    folder: string,
  ) => Promise<void>,
): Promise<void> {
  const files = await filesOf(tinyFolder);
  const writers = [Deno.stdout, Deno.stderr] as const;
  const originals = writers.map((writer) => writer.writeSync);
  const { error } = console;
  let text = "";
  await withHub({ "me/gemma2-tiny": { files } }, async (hub, home) => {
    const lines = Array.from({ length: 12 }, (_, i) => JSON.stringify({ prompt: `Say ${i}`, response: `<${i}>` }));
    await Deno.writeTextFile(join(home, "train.jsonl"), lines.join("\n"));
    for (const writer of writers) {
      writer.writeSync = (bytes) => {
        text += new TextDecoder().decode(bytes);
        return bytes.length;
      };
    }
    console.error = (line: string) => text += `${line}\n`;
    const steps = [
      "--steps",
      "2",
      "--batchSize",
      "4",
      "--samples",
      "1",
      "--maxNewTokens",
      "2",
      "--backend",
      "cpu",
      "--threads",
      "1",
    ];
    const job = ["--preset", "hf://me/gemma2-tiny", "--data", join(home, "train.jsonl"), ...steps];
    try {
      await use(hub, (...flags) => main([...job, ...flags]), () => text, home);
    } finally {
      writers.forEach((writer, i) => writer.writeSync = originals[i]!);
      console.error = error;
    }
  });
}

Deno.test("main() fine-tunes a repository of the Hub, of which a plan needs no weights", async () => {
  await withJob(async (hub, run, printed, home) => {
    const cache = `${home}/hub/models--me--gemma2-tiny`;
    assert.equal(await run("--plan"), 0, printed());
    assert.match(printed(), /^Downloading me\/gemma2-tiny · \d\S+ KiB in 4 files to /);
    assert.match(printed(), /Fine-tuning gemma2-tiny/);
    assert.deepEqual(weightsOf(hub), []);

    const output = join(home, "run");
    assert.equal(await run("--output", output), 0, printed());
    assert(
      printed().includes(`Completing me/gemma2-tiny · 2.64 MiB in 1 file ("model.safetensors") to ${cache}\n`),
      printed(),
    );
    assert.equal(weightsOf(hub).length, 1);
    const adapter = JSON.parse(await Deno.readTextFile(join(output, "adapter", "adapter_config.json")));
    assert.equal(adapter.base_model_name_or_path, "me/gemma2-tiny");
    assert.equal(JSON.parse(await Deno.readTextFile(join(output, "config.json"))).preset, "hf://me/gemma2-tiny");

    assert.equal(await run("--output", join(home, "again"), "--quiet"), 0, printed());
    assert.equal(weightsOf(hub).length, 1);
  });
});

Deno.test("main() says why a model cannot be downloaded, before it does anything else", async () => {
  await withJob(async (hub, run, printed, home) => {
    hub.repositories.set("me/gemma2-tiny", { ...hub.repositories.get("me/gemma2-tiny")!, gated: true });
    assert.equal(await run("--output", join(home, "run")), 1);
    assert(
      printed().includes(
        `"me/gemma2-tiny" is gated; accept its license at ${hub.endpoint}/me/gemma2-tiny, then set HF_TOKEN to a token from `,
      ),
      printed(),
    );
    assert.equal(await run("--preset", "hf://me/none"), 1);
    assert.match(printed(), /there is no repository "me\/none"/);
    await assert.rejects(Deno.stat(join(home, "run")));
  });
});
