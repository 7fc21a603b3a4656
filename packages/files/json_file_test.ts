import assert from "node:assert/strict";
import { z } from "zod";
import { checkJson, parseJson, readJson } from "./json_file.ts";
import { withFolder } from "./testing.ts";

const schema = z.looseObject({
  vocab_size: z.number(),
  hidden_act: z.string().optional(),
  rope: z.object({ theta: z.number().default(1) }).optional(),
});

function complaint(value: unknown, by: z.ZodType = schema): string {
  try {
    checkJson("c.json", value, by);
  } catch (error) {
    assert.ok(error instanceof TypeError);
    return error.message;
  }
  return "none";
}

Deno.test("parseJson() names the line and column", () => {
  assert.throws(() => parseJson("c.json", '{\n  "a": 1,\n  "b" 2\n}'), {
    name: "SyntaxError",
    message: /^Cannot read "c.json": line 3, column 7 is not JSON: Expected ':'/,
  });
  assert.throws(() => parseJson("c.json", '{\n"a": ['), /line 2, column 7 is not JSON: Unexpected end/);
  assert.throws(() => parseJson("c.json", ""), /line 1, column 1/);
});

Deno.test("checkJson() names every field that is wrong, and what it found", () => {
  assert.equal(complaint({ vocab_size: 1, rope: {}, other: 1 }), "none");
  assert.match(
    complaint({ hidden_act: 3 }),
    /^Cannot use "c.json": "vocab_size" is missing: .*; "hidden_act" is 3: .*string/,
  );
  assert.match(complaint({ vocab_size: 1, rope: { theta: "x" } }), /"rope.theta" is "x": .*number/);
  assert.match(complaint([]), /its content is \[\]: .*object/);
});

Deno.test("checkJson() reports a near miss of a missing field once, required or not", () => {
  assert.equal(
    complaint({ vocabsize: 1 }),
    'Cannot use "c.json": "vocabsize" is not a known field, did you mean "vocab_size"?',
  );
  assert.match(complaint({ vocab_size: 1, hiddenAct: "x" }), /"hiddenAct" .* did you mean "hidden_act"\?/);
  assert.match(complaint({ vocab_size: 1, rope: { thetaa: 1 } }), /"rope.thetaa" .* did you mean "rope.theta"\?/);
});

Deno.test("checkJson() leaves unknown fields alone that resemble a field in use", () => {
  assert.equal(complaint({ vocab_size: 1, vocab_sizes: [1], hidden_size: 2, top_k: 1 }), "none");
});

Deno.test("checkJson() names the nearest field for each that a strict schema does not know", () => {
  const strict = z.strictObject({ vocab_size: z.number(), rope: z.strictObject({ theta: z.number() }).optional() });
  assert.match(complaint({ vocab_size: 1, vocab: 2 }, strict), /"vocab" is not a known field$/);
  assert.match(
    complaint({ vocab_size: 1, rope: { tetha: 1, theta: 1 } }, strict),
    /"rope.tetha" is not a known field, did you mean "theta"\?$/,
  );
});

Deno.test("readJson() reads past a byte order mark and names a missing file", async () => {
  await withFolder({ "c.json": '\uFEFF{"vocab_size": 3}' }, async (folder) => {
    assert.deepEqual(await readJson(`${folder}/c.json`, schema), { vocab_size: 3 });
    await assert.rejects(readJson(`${folder}/d.json`, schema), /Cannot read ".*d.json": there is no such file/);
  });
});
