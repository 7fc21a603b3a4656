import assert from "node:assert/strict";
import { readWindows, windowProblem, windowsOf, writeWindows } from "./windows.ts";

const [full, sliding] = ["full_attention", "sliding_attention"] as const;

function read(fields: Record<string, unknown>) {
  return readWindows({ path: "m/config.json", modelType: "qwen2", raw: { num_hidden_layers: 4, ...fields } });
}

Deno.test("readWindows() finds none where none is used, whatever size the file names", () => {
  for (
    const fields of [
      {},
      { sliding_window: 4096, max_window_layers: 0 },
      { use_sliding_window: false, sliding_window: 4096, max_window_layers: 0 },
      { use_sliding_window: true, sliding_window: null, max_window_layers: 0 },
      // From the block of this number on, 28 where the file does not say.
      { use_sliding_window: true, sliding_window: 4096, max_window_layers: 4 },
      { use_sliding_window: true, sliding_window: 4096 },
      { use_sliding_window: true, sliding_window: 4096, layer_types: [full, full, full, full] },
    ]
  ) assert.deepEqual(read(fields), { useSlidingWindowAttention: false }, JSON.stringify(fields));
});

Deno.test("readWindows() gives windows to the blocks from a number on, or to those of a list", () => {
  const last = { useSlidingWindowAttention: true, slidingWindowSize: 512, layerTypes: [full, full, full, sliding] };
  assert.deepEqual(read({ use_sliding_window: true, sliding_window: 512, max_window_layers: 3 }), last);
  // The list counts for more.
  const listed = { layer_types: last.layerTypes, max_window_layers: 0 };
  assert.deepEqual(read({ use_sliding_window: true, sliding_window: 512, ...listed }), last);
  assert.equal(read({ use_sliding_window: true, max_window_layers: 1 }).slidingWindowSize, 4096);
});

/** Fields that are wrong, and what the message must say. */
const cases: readonly (readonly [what: string, fields: Record<string, unknown>, says: RegExp])[] = [
  ["a list without a window", { layer_types: [full, full, full, sliding] }, /"use_sliding_window" is not true, but/],
  [
    "a list with a window of null",
    { use_sliding_window: true, sliding_window: null, layer_types: [full, full, full, sliding] },
    /"sliding_window" is null, but "layer_types" has layers with sliding_attention/,
  ],
  ["a short list", { layer_types: [full] }, /"layer_types" has 1 entries, expected one for each of the 4 layers/],
  ["another kind of attention", { layer_types: [full, full, full, "linear_attention"] }, /layer_types/],
  ["a window of half a token", { use_sliding_window: true, sliding_window: 0.5 }, /"sliding_window" is 0.5/],
];

for (const [what, fields, says] of cases) {
  Deno.test(`readWindows() rejects ${what}`, () => {
    assert.throws(() => read(fields), (error: Error) => {
      assert.match(error.message, says);
      assert.match(error.message, /m\/config\.json/);
      return true;
    });
  });
}

Deno.test("windowsOf() gives windows to all blocks unless a list says which", () => {
  const config = { numLayers: 3, useSlidingWindowAttention: true };
  assert.deepEqual(windowsOf({ numLayers: 3 }), [null, null, null]);
  assert.deepEqual(windowsOf(config), [32_768, 32_768, 32_768]);
  const layerTypes = [full, sliding, full];
  assert.deepEqual(windowsOf({ ...config, slidingWindowSize: 8, layerTypes }), [null, 8, null]);
});

Deno.test("windowProblem() names a list that contradicts the other fields", () => {
  const layerTypes = [full, sliding];
  assert.equal(windowProblem({ numLayers: 2, useSlidingWindowAttention: true, layerTypes }), null);
  assert.equal(windowProblem({ numLayers: 3, layerTypes }), "layerTypes has 2 entries for 3 layers");
  assert.match(windowProblem({ numLayers: 2, layerTypes })!, /useSlidingWindowAttention is false/);
});

Deno.test("writeWindows() says in both spellings what readWindows() reads", () => {
  const lists = [[full, full, sliding, sliding], [sliding, sliding, sliding, sliding], [sliding, full, sliding, full]];
  for (const layerTypes of lists) {
    const windows = { useSlidingWindowAttention: true, slidingWindowSize: 64, layerTypes };
    const written = writeWindows({ numLayers: 4, ...windows });
    assert.deepEqual(read(written), windows);
    const { layer_types: _, ...old } = written;
    // Readers of the older spelling know no list such as the last.
    if ("max_window_layers" in old) assert.deepEqual(read(old), windows);
    else assert.equal(layerTypes, lists[2]);
  }
  const none = writeWindows({ numLayers: 4 });
  assert.deepEqual(none, {
    use_sliding_window: false,
    sliding_window: null,
    max_window_layers: 4,
    layer_types: [full, full, full, full],
  });
  assert.deepEqual(read(none), { useSlidingWindowAttention: false });
});
