import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { withFolder } from "@tessera/files/testing";
import { serveUploadHub } from "../testing/upload_hub.ts";

/** The most memory that a process holds which pushes a model with weights of a size, most of them a hole in the file. */
async function peakMemory(weightBytes: number, partBytes: number): Promise<number> {
  let peak = 0;
  await withFolder({ "config.json": { model_type: "gemma2" }, "tokenizer.json": {} }, async (folder) => {
    const entry = { dtype: "F32", shape: [weightBytes / 4], data_offsets: [0, weightBytes] };
    const header = new TextEncoder().encode(JSON.stringify({ a: entry }));
    const head = new Uint8Array(8 + header.length);
    new DataView(head.buffer).setBigUint64(0, BigInt(header.length), true);
    head.set(header, 8);
    await Deno.writeFile(`${folder}/model.safetensors`, head);
    await Deno.truncate(`${folder}/model.safetensors`, head.length + weightBytes);
    await using hub = serveUploadHub({ partBytes, isForgetful: true });
    const client = fileURLToPath(new URL("./testdata/push_client.ts", import.meta.url));
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", client, folder],
      env: { HF_ENDPOINT: hub.endpoint, HF_TOKEN: hub.token },
    }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    assert.equal(hub.commits.length, 1);
    peak = Number(new TextDecoder().decode(stdout));
  });
  return peak;
}

Deno.test("pushToHub() holds no more memory for large files than for small ones, sent whole or in parts", async () => {
  const [small, large] = [4_000, 600_000_000];
  const least = await peakMemory(small, large);
  for (const partBytes of [large * 2, large / 10]) {
    const most = await peakMemory(large, partBytes);
    assert(most < least + large / 3, `${(most / 1e6).toFixed(0)} MB, ${(least / 1e6).toFixed(0)} MB for a small file`);
  }
});
