import assert from "node:assert/strict";
import fc from "fast-check";
import { hostTensor, sizeOf } from "@tessera/core";
import { DataParallel, DeviceMesh, type Sharding } from "@tessera/mesh";
import { referenceBackend } from "../reference_backend.ts";
import { scatter, scatterZeros } from "./sharded_buffer.ts";

const backend = referenceBackend({ deviceCount: 8 });
const distribution = new DataParallel({ mesh: new DeviceMesh([2, 4], ["batch", "model"], backend.devices) });

function counting(shape: readonly number[], from = 0) {
  return hostTensor("float32", shape, Float32Array.from({ length: sizeOf(shape) }, (_, i) => from + i));
}

const axes = fc.constantFrom<string[]>([], ["batch"], ["model"], ["batch", "model"], ["model", "batch"]);
const shardings = fc.tuple(axes, axes, axes).filter((dims) => new Set(dims.flat()).size === dims.flat().length);

Deno.test("what is scattered reads as it was, in whatever way it is split", async () => {
  await fc.assert(
    fc.asyncProperty(shardings, async (dims) => {
      const sharding: Sharding = { dims, partial: [] };
      const buffer = scatter(counting([8, 16, 8]), backend, { distribution, sharding });
      assert.deepEqual(await buffer.read(), counting([8, 16, 8]));
      await buffer.write(counting([8, 16, 8], 5));
      assert.deepEqual((await buffer.read()).data, counting([8, 16, 8], 5).data);
      const parts = new Set(buffer.parts.map(({ type }) => sizeOf(type.shape)));
      assert.deepEqual([...parts], [1024 / dims.flat().reduce((n, name) => n * (name === "batch" ? 2 : 4), 1)]);
    }),
    { seed: 1, numRuns: 60 },
  );
});

Deno.test("devices with the same block share memory until one of them is to be written", async () => {
  const sharding: Sharding = { dims: [["model"]], partial: [] };
  const buffer = scatter(counting([8]), backend, { distribution, sharding });
  await buffer.separate(backend);
  await buffer.parts[0]!.write(hostTensor("float32", [2], new Float32Array([50, 51])));
  assert.deepEqual([...(await buffer.parts[4]!.read()).data], [0, 1]);
  assert.deepEqual([...(await buffer.read()).data], [50, 51, 2, 3, 4, 5, 6, 7]);
});

Deno.test("zeros lie on every device, and a disposed buffer says so", async () => {
  const buffer = scatterZeros({ shape: [4, 8], dtype: "bfloat16" }, backend, {
    distribution,
    sharding: { dims: [["batch"], []], partial: [] },
  });
  assert.deepEqual(buffer.parts.map(({ device }) => device.id), backend.devices.map(({ id }) => id));
  assert((await buffer.read()).data.every((bits) => bits === 0));
  await assert.rejects(buffer.write(counting([4, 8])), /float32\[4,8\].*bfloat16\[4,8\]/);
  buffer.dispose();
  await assert.rejects(buffer.read(), /disposed/);
});
