import assert from "node:assert/strict";
import { fromFloat32, type HostTensor, hostTensor, toFloat32 } from "@tessera/core";
import { openCheckpoint, writeCheckpoint } from "@tessera/files";
import { withFolder } from "@tessera/files/testing";
import { DeviceMesh, LayoutMap, ModelParallel } from "@tessera/mesh";
import { einsumDense, Scope, type Variable, zeros } from "@tessera/nn";
import { type Backend, ShardedBuffer } from "@tessera/runtime";
import { referenceBackend } from "@tessera/runtime/testing";
import { loadWeights } from "./load.ts";
import { layersOf, moduleOf, pair, type TensorRow } from "./rows.ts";
import { saveWeights } from "./save.ts";

/** A query of 4 heads and a key and a value of 2, of 3 elements each: 24 rows of one tensor, over 5 inputs. */
const rows: readonly TensorRow[] = [
  { variable: "value/kernel", tensor: "qkv.weight", merge: [2, 1], part: { rows: [18, 24], of: 24 } },
  { variable: "query/kernel", tensor: "qkv.weight", merge: [2, 1], part: { rows: [0, 12], of: 24 } },
  { variable: "key/kernel", tensor: "qkv.weight", merge: [2, 1], part: { rows: [12, 18], of: 24 } },
  { variable: "out/kernel", tensor: "out.weight" },
];
const fused = hostTensor("float32", [24, 5], Float32Array.from({ length: 120 }, (_, i) => i));
const out = hostTensor("float32", [5, 5], Float32Array.from({ length: 25 }, (_, i) => -i));

function variables(dtype: "float32" | "bfloat16" = "float32"): Variable[] {
  const scope = new Scope();
  for (const [name, heads] of [["query", 4], ["key", 2], ["value", 2]] as const) {
    const spec = { equation: "btd,dnh->btnh", shape: [5, heads, 3], order: [1, 2, 0], dtype, initializer: zeros() };
    einsumDense(scope, name, spec);
  }
  einsumDense(scope, "out", { equation: "btd,de->bte", shape: [5, 5], dtype, initializer: zeros() });
  return scope.registry.variables;
}

/** Writes tensors as a checkpoint, each in a file of its own, and loads them. */
async function withLoaded(
  tensors: Readonly<Record<string, HostTensor>>,
  given: readonly Variable[],
  run: (folder: string) => Promise<void>,
  backend: Backend = referenceBackend(),
  where?: ModelParallel,
): Promise<void> {
  await withFolder({}, async (folder) => {
    const sources = Object.entries(tensors).map(([name, type]) => ({ name, type, read: () => type }));
    await writeCheckpoint(folder, sources, { maxShardBytes: 1 });
    const checkpoint = await openCheckpoint(folder);
    try {
      await loadWeights(checkpoint, rows, given, backend, where === undefined ? {} : { where });
      await run(folder);
    } finally {
      checkpoint.close();
      for (const { value } of given) value?.dispose();
    }
  });
}

const whole = { "qkv.weight": fused, "out.weight": out };

Deno.test("loadWeights() gives each variable its rows of a tensor that holds several", async () => {
  const given = variables();
  await withLoaded(whole, given, async () => {
    const found = await Promise.all(given.slice(0, 3).map(async ({ value }) => [...(await value!.read()).data]));
    assert.deepEqual(found.flat(), [...fused.data]);
    assert.deepEqual(found.map(({ length }) => length), [60, 30, 30]);
  });
});

Deno.test("loadWeights() gives each device of a mesh its part of its variable's rows", async () => {
  const given = variables();
  const backend = referenceBackend({ deviceCount: 2 });
  const mesh = new DeviceMesh([1, 2], ["batch", "model"], backend.devices.map(({ id }) => id));
  const layoutMap = new LayoutMap(mesh).set("(query|key|value)/kernel", [null, "model", null]);
  const where = new ModelParallel({ layoutMap, batchDimName: "batch" });
  await withLoaded(
    whole,
    given,
    async () => {
      const parts = given.slice(0, 3).map(({ value }) => {
        assert(value instanceof ShardedBuffer);
        return value.parts;
      });
      const found = await Promise.all(parts.flat().map(async (part) => [...(await part.read()).data]));
      assert.deepEqual(found.flat(), [...fused.data]);
      assert.deepEqual(found.map(({ length }) => length), [30, 30, 15, 15, 15, 15]);
    },
    backend,
    where,
  );
});

Deno.test("saveWeights() joins variables that are parts of one tensor, in any dtype", async () => {
  const given = variables("bfloat16");
  await withLoaded(whole, given, async (folder) => {
    for (const dtype of ["bfloat16", "float32"] as const) {
      await saveWeights(`${folder}/${dtype}`, rows, given, { dtype });
      const saved = await openCheckpoint(`${folder}/${dtype}`);
      assert.deepEqual([...saved.tensors.keys()].sort(), ["out.weight", "qkv.weight"]);
      const found = saved.read("qkv.weight");
      assert.deepEqual([found.dtype, found.shape], [dtype, [24, 5]]);
      assert.deepEqual(toFloat32(found), toFloat32(fromFloat32("bfloat16", fused.shape, toFloat32(fused))));
      saved.close();
    }
  });
});

Deno.test("loadWeights() names the tensor once and the rows that it wanted, when it is missing or has another shape", async () => {
  await assert.rejects(withLoaded({ "out.weight": out }, variables(), () => Promise.resolve()), {
    message: /it lacks 1 of 2 tensors: "qkv.weight" \(for "query\/kernel"\)/,
  });
  const short = hostTensor("float32", [18, 5], fused.data.slice(0, 90));
  await assert.rejects(withLoaded({ ...whole, "qkv.weight": short }, variables(), () => Promise.resolve()), {
    name: "TypeError",
    message:
      /Cannot load rows 0 to 11 of "qkv.weight" .* into query\/kernel .*must have shape \[24,5\], found \[18,5\]/,
  });
});

Deno.test("saveWeights() rejects parts that leave rows out, and pair() a part of another size", async () => {
  const given = variables();
  await withLoaded(whole, given, async (folder) => {
    for (const [left, says] of [[1, "rows 18 to 23"], [2, "expected row 12"]] as const) {
      const some = given.filter((_, i) => i !== 3 - left);
      await assert.rejects(
        saveWeights(`${folder}/saved`, rows, some),
        new RegExp(`Cannot save "qkv.weight": .*${says}`),
      );
    }
  });
  const wrong = rows.map((row) => ({ ...row, ...(row.part === undefined ? {} : { part: { rows: [0, 12], of: 24 } }) }));
  assert.throws(() => pair(wrong as TensorRow[], given), {
    message: /Cannot convert key\/kernel .*: it has 6 rows, found 0 to 11 of 24 for it/,
  });
});

Deno.test("layersOf() gives the layers of a module in the order of their rows", () => {
  assert.deepEqual(layersOf(rows, "qkv"), ["query", "key", "value"]);
  assert.deepEqual(layersOf(rows, "kv"), []);
  assert.deepEqual(["query", "key", "value"].map((layer) => moduleOf(rows, layer)), ["qkv", "qkv", "qkv"]);
});
