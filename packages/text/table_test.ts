import assert from "node:assert/strict";
import fc from "fast-check";
import { formatTable } from "./table.ts";
import { displayWidth } from "./width.ts";

const columns = [
  { header: "Variable", shrink: "middle" },
  { header: "Shape" },
  { header: "Parameters", align: "right" },
] as const;
const rows = [
  ["token_embedding/embeddings", "(256000, 2304)", "589,824,000"],
  ["decoder_block_0/attention/query/kernel", "(8, 2304, 256)", "4,718,592"],
];

Deno.test("formatTable() lines up cells under headers", () => {
  assert.deepEqual(formatTable(rows, { columns }).split("\n"), [
    "Variable                                Shape            Parameters",
    "───────────────────────────────────────────────────────────────────",
    "token_embedding/embeddings              (256000, 2304)  589,824,000",
    "decoder_block_0/attention/query/kernel  (8, 2304, 256)    4,718,592",
  ]);
});

Deno.test("formatTable() shrinks only the columns that may, in the middle when asked", () => {
  assert.deepEqual(formatTable(rows, { columns, width: 50 }).split("\n"), [
    "Variable               Shape            Parameters",
    "─".repeat(50),
    "token_embe…embeddings  (256000, 2304)  589,824,000",
    "decoder_bl…ery/kernel  (8, 2304, 256)    4,718,592",
  ]);
});

Deno.test("formatTable() never exceeds the width", () => {
  const cell = fc.string({ unit: "grapheme", maxLength: 30 }).filter((text) => !/\p{Cc}/u.test(text));
  fc.assert(
    fc.property(
      fc.array(fc.tuple(cell, cell, cell), { maxLength: 5 }),
      fc.integer({ min: 1, max: 90 }),
      (rows, width) => {
        for (const line of formatTable(rows, { columns, width }).split("\n")) assert.ok(displayWidth(line) <= width);
      },
    ),
    { seed: 2 },
  );
});

Deno.test("formatTable() prints headers alone for no rows", () => {
  assert.equal(formatTable([], { columns: [{ header: "Name" }] }), "Name\n────");
});

Deno.test("formatTable() rejects a row with too few cells", () => {
  assert.throws(() => formatTable([["a"]], { columns }), {
    name: "RangeError",
    message: "Cannot format table row 0: found 1 cells for 3 columns",
  });
});
