import assert from "node:assert/strict";
import { dataUrl, encodePng } from "@tessera/vision";
import { imageRow, readReportImages } from "./images.ts";
import { renderReport } from "./report.ts";
import { sampleRecord } from "./testing/sample_record.ts";

const expected = "<loc0256><loc0128><loc0512><loc0896> red circle";

Deno.test("readReportImages() makes large images small, and leaves out files that are gone", async () => {
  const folder = await Deno.makeTempDir({ prefix: "tessera-report-" });
  try {
    const image = { width: 1000, height: 500, pixels: new Uint8Array(3 * 1000 * 500).fill(200) };
    await Deno.writeFile(`${folder}/large.png`, await encodePng(image));
    const generation = { prompt: "detect red circle", expected, before: "", after: expected };
    const images = await readReportImages([
      { ...generation, image: `${folder}/large.png` },
      { ...generation, image: `${folder}/gone.png` },
      generation,
    ]);
    const found = images.get(`${folder}/large.png`)!;
    assert.deepEqual([found.width, found.height, images.size], [320, 160, 1]);
    const record = sampleRecord(4, { generations: [{ ...generation, image: `${folder}/large.png` }] });
    const page = renderReport(record, images);
    assert.match(page, /<figcaption>expected<\/figcaption>.*<figcaption>answered<\/figcaption>/s);
    assert.equal(page.match(/<rect x="40" y="40" width="240" height="40"/g)?.length, 2);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("imageRow() draws no boxes for an answer without any, and escapes what a model wrote", async () => {
  const image = {
    width: 64,
    height: 64,
    source: dataUrl(await encodePng({ width: 1, height: 1, pixels: new Uint8Array(3) }), "image/png"),
  };
  assert(!imageRow(image, { expected: "a red circle", after: "<b>" })!.markup.includes("<rect"));
  const row = imageRow(image, { expected, after: "<loc0000><loc0000><loc0512><loc0512> <script>" })!.markup;
  assert(!row.includes("<script>"));
  assert.match(row, /&lt;script&gt;/);
  assert.equal(imageRow(undefined, { expected, after: "" }), null);
});
