import assert from "node:assert/strict";
import fc from "fast-check";
import { bfloat16Bits, type HostTensor, hostTensor, sizeOf } from "@tessera/core";
import { type AxisRange, openSafetensors, type SafetensorsFile } from "./safetensors.ts";
import { safetensorsBytes, withFolder } from "./testing.ts";

/** Every behavior holds for memory maps and for positioned reads. */
const ways = [{ name: "mapped", map: true }, { name: "read", map: false }];

const canMap = Deno.build.os === "linux" || Deno.build.os === "darwin";

function f32(...values: number[]): Uint8Array {
  return new Uint8Array(new Float32Array(values).buffer);
}

/** A header padded so that the data begins at this offset modulo 8. */
function padded(header: unknown, offset = 0): string {
  const text = JSON.stringify(header);
  return text + " ".repeat((16 + offset - text.length % 8) % 8);
}

async function withFile(
  bytes: Uint8Array,
  map: boolean,
  run: (file: SafetensorsFile) => void | Promise<void>,
): Promise<void> {
  await withFolder({ "model.safetensors": bytes }, async (folder) => {
    const file = await openSafetensors(`${folder}/model.safetensors`, { map });
    try {
      await run(file);
    } finally {
      file.close();
    }
  });
}

for (const { name, map } of ways) {
  Deno.test(`openSafetensors() reads every host dtype, ${name}`, async () => {
    const data = new Uint8Array([...f32(1.5, -2), 0x80, 0x3f, 0x00, 0x3c, 7, 0, 0, 0, 1, 0]);
    const header = {
      __metadata__: { format: "pt" },
      f: { dtype: "F32", shape: [2, 1], data_offsets: [0, 8] },
      b: { dtype: "BF16", shape: [1], data_offsets: [8, 10] },
      h: { dtype: "F16", shape: [1], data_offsets: [10, 12] },
      i: { dtype: "I32", shape: [], data_offsets: [12, 16] },
      t: { dtype: "BOOL", shape: [2], data_offsets: [16, 18] },
      empty: { dtype: "F32", shape: [0, 4], data_offsets: [18, 18] },
    };
    await withFile(safetensorsBytes(padded(header), data), map, (file) => {
      assert.equal(file.mapped, map && canMap);
      assert.deepEqual(file.metadata, { format: "pt" });
      assert.deepEqual([...file.tensors.keys()], ["f", "b", "h", "i", "t", "empty"]);
      assert.deepEqual(file.read("f"), hostTensor("float32", [2, 1], new Float32Array([1.5, -2])));
      assert.deepEqual(file.read("b"), hostTensor("bfloat16", [1], new Uint16Array([bfloat16Bits(1)])));
      assert.deepEqual(file.read("h"), hostTensor("float16", [1], new Uint16Array([0x3c00])));
      assert.deepEqual(file.read("i"), hostTensor("int32", [], new Int32Array([7])));
      assert.deepEqual(file.read("t"), hostTensor("bool", [2], new Uint8Array([1, 0])));
      assert.deepEqual(file.read("empty"), hostTensor("float32", [0, 4], new Float32Array()));
    });
  });

  Deno.test(`openSafetensors() reads a tensor that is not aligned, ${name}`, async () => {
    const header = { w: { dtype: "F32", shape: [2], data_offsets: [0, 8] } };
    await withFile(safetensorsBytes(padded(header, 3), f32(3, 4)), map, (file) => {
      assert.notEqual(file.tensors.get("w")!.begin % 4, 0);
      assert.deepEqual(file.read("w").data, new Float32Array([3, 4]));
    });
  });

  Deno.test(`openSafetensors() narrows I64 only when asked, ${name}`, async () => {
    const data = new Uint8Array(new BigInt64Array([-5n, 2n ** 40n]).buffer);
    const header = {
      small: { dtype: "I64", shape: [1], data_offsets: [0, 8] },
      large: { dtype: "I64", shape: [1], data_offsets: [8, 16] },
    };
    await withFile(safetensorsBytes(padded(header), data), map, (file) => {
      assert.deepEqual(file.read("small", { narrow: true }), hostTensor("int32", [1], new Int32Array([-5])));
      assert.throws(() => file.read("small"), { name: "TypeError", message: /as I64: .*narrow: true/ });
      assert.throws(() => file.read("large", { narrow: true }), { name: "RangeError", message: /holds 1099511627776/ });
    });
  });

  Deno.test(`openSafetensors() lists a dtype that it cannot read, ${name}`, async () => {
    const header = { u: { dtype: "I8", shape: [2], data_offsets: [0, 2] } };
    await withFile(safetensorsBytes(padded(header), new Uint8Array(2)), map, (file) => {
      assert.equal(file.tensors.get("u")!.dtype, "I8");
      assert.throws(() => file.read("u"), { name: "TypeError", message: /Cannot read "u" from .* as I8: convert it/ });
    });
  });

  Deno.test(`read() and readSlice() name what is wrong with the request, ${name}`, async () => {
    const header = { weight: { dtype: "F32", shape: [2, 1], data_offsets: [0, 8] } };
    await withFile(safetensorsBytes(padded(header), f32(1, 2)), map, (file) => {
      assert.throws(() => file.read("wieght"), {
        name: "RangeError",
        message: /no such tensor, did you mean "weight"/,
      });
      assert.throws(() => file.readSlice("weight", [[0, 3]]), {
        name: "RangeError",
        message: /axis 0 .*\[0, 2\], found \[0, 3\]/,
      });
      assert.throws(() => file.readSlice("weight", [[1, 0]]), /found \[1, 0\]/);
      assert.throws(() => file.readSlice("weight", [null, null, null]), /has 2 axes, found 3 ranges/);
    });
  });

  Deno.test(`readSlice() takes the part that indexing takes, ${name}`, async () => {
    const axis = fc.integer({ min: 0, max: 4 }).chain((size) =>
      fc.tuple(fc.constant(size), fc.nat(size), fc.nat(size), fc.boolean())
    );
    await fc.assert(
      fc.asyncProperty(fc.array(axis, { maxLength: 4 }), async (axes) => {
        const shape = axes.map(([size]) => size);
        const ranges = axes.map(([, a, b, whole]): AxisRange => whole ? null : [Math.min(a, b), Math.max(a, b)]);
        const all = Float32Array.from({ length: sizeOf(shape) }, (_, i) => i);
        const bytes = f32(...all);
        const header = { w: { dtype: "F32", shape, data_offsets: [0, bytes.length] } };
        await withFile(safetensorsBytes(padded(header), bytes), map, (file) => {
          assert.deepEqual(file.readSlice("w", ranges), sliceByIndex(hostTensor("float32", shape, all), ranges));
        });
      }),
      { numRuns: 60, seed: 7 },
    );
  });

  Deno.test(`release() leaves tensors to be read again, and their neighbors as they are, ${name}`, async () => {
    const count = 100_000;
    const values = Float32Array.from({ length: 2 * count }, (_, i) => i);
    const header = {
      a: { dtype: "F32", shape: [count], data_offsets: [0, 4 * count] },
      b: { dtype: "F32", shape: [count], data_offsets: [4 * count, 8 * count] },
    };
    await withFile(safetensorsBytes(padded(header), new Uint8Array(values.buffer)), map, (file) => {
      const [a, b] = [file.read("a").data, file.read("b").data];
      b.fill(7);
      file.release("a");
      assert.deepEqual([...a], [...values.subarray(0, count)]);
      assert.deepEqual(file.read("a").data, values.subarray(0, count));
      assert.ok(b.every((value) => value === 7));
    });
  });

  Deno.test(`tensors outlive close(), reads do not, ${name}`, async () => {
    const header = { w: { dtype: "F32", shape: [2], data_offsets: [0, 8] } };
    await withFile(safetensorsBytes(padded(header), f32(3, 4)), map, (file) => {
      const { data } = file.read("w");
      file.close();
      file.close();
      assert.deepEqual([...data], [3, 4]);
      assert.throws(() => file.read("w"), /was closed/);
    });
  });
}

Deno.test({
  name: "read() gives a view that is written without changing the file",
  ignore: !canMap,
  fn: async () => {
    const header = { w: { dtype: "F32", shape: [4], data_offsets: [0, 16] } };
    await withFile(safetensorsBytes(padded(header), f32(1, 2, 3, 4)), true, async (file) => {
      file.read("w").data[0] = 9;
      // Two reads share memory, so nothing was copied; a contiguous slice is a view too.
      assert.deepEqual([...file.read("w").data], [9, 2, 3, 4]);
      file.readSlice("w", [[1, 3]]).data[0] = 8;
      assert.deepEqual([...file.read("w").data], [9, 8, 3, 4]);
      const fresh = await openSafetensors(file.path);
      assert.deepEqual([...fresh.read("w").data], [1, 2, 3, 4]);
      fresh.close();
    });
  },
});

Deno.test({
  name: "openSafetensors() reads without a map where FFI is not permitted",
  permissions: { read: true, write: true, ffi: false },
  fn: async () => {
    const header = { w: { dtype: "F32", shape: [2], data_offsets: [0, 8] } };
    await withFile(safetensorsBytes(padded(header), f32(5, 6)), true, (file) => {
      assert.equal(file.mapped, false);
      assert.deepEqual([...file.read("w").data], [5, 6]);
    });
  },
});

/** The slice by plain indexing, element by element. */
function sliceByIndex(tensor: HostTensor<"float32">, ranges: readonly AxisRange[]): HostTensor<"float32"> {
  const spans = tensor.shape.map((size, axis) => ranges[axis] ?? [0, size] as const);
  const shape = spans.map(([begin, end]) => end - begin);
  const data = Float32Array.from({ length: sizeOf(shape) }, (_, flat) => {
    let rest = flat;
    let stride = 1;
    let at = 0;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += (spans[axis]![0] + rest % shape[axis]!) * stride;
      rest = Math.floor(rest / shape[axis]!);
      stride *= tensor.shape[axis]!;
    }
    return tensor.data[at]!;
  });
  return hostTensor("float32", shape, data);
}
