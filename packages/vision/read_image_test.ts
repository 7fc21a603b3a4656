import assert from "node:assert/strict";
import { openSafetensors } from "@tessera/files";
import { readImage, squarePixels } from "./read_image.ts";
import { decodeImage } from "./decode.ts";
import { readImageHeader } from "./header.ts";

const folder = new URL("./testdata/", import.meta.url);
const goldens = { bicubic: "golden.safetensors", bilinear: "golden_bilinear.safetensors" } as const;
const read = (name: string) => Deno.readFile(new URL(name, folder));

for (const resampling of ["bicubic", "bilinear"] as const) {
  const golden = await openSafetensors(new URL(goldens[resampling], folder).pathname);
  for (const name of golden.tensors.keys()) {
    Deno.test(`${name} becomes what the ${resampling} processor of Transformers makes of it`, async () => {
      const expected = golden.read(name);
      const image = await readImage(new URL(name, folder).pathname);
      const pixels = squarePixels(image, { size: expected.shape[0]!, resampling });
      assert.equal(pixels.length, expected.data.length);
      const largest = pixels.reduce((most, value, i) => Math.max(most, Math.abs(value - Number(expected.data[i]))), 0);
      // The bound of agreement is 2; there is no difference, and none should creep in.
      assert.equal(largest, 0);
    });
  }
}

Deno.test("readImageHeader() knows the size before anything is decoded", async () => {
  assert.deepEqual(readImageHeader(await read("turned6.jpg")), {
    format: "jpeg",
    width: 64,
    height: 40,
    orientation: 6,
    bitDepth: 8,
    channels: 3,
  });
  assert.deepEqual(readImageHeader(await read("grey16.png")), {
    format: "png",
    width: 40,
    height: 30,
    orientation: 1,
    bitDepth: 16,
    channels: 1,
  });
  for (const name of ["lossy.webp", "lossless.webp"]) {
    const { format, width, height } = readImageHeader(await read(name));
    assert.equal(`${format} ${width} ${height}`, `webp ${name === "lossy.webp" ? "80 70" : "60 50"}`);
  }
  assert.equal(readImageHeader(await read("turned8.webp")).orientation, 8);
});

Deno.test("decodeImage() turns an image as its EXIF data says", async () => {
  const { width, height } = await decodeImage(await read("turned6.jpg"));
  assert.deepEqual([width, height], [40, 64]);
});

const refused: readonly (readonly [file: string, name: string, message: RegExp])[] = [
  [
    "cmyk.jpg",
    "TypeError",
    /^Cannot read the image ".*cmyk\.jpg": the JPEG file has 4 channels \(CMYK\); expected gray/,
  ],
  ["image.gif", "TypeError", /the file is a GIF; expected a PNG, a JPEG or a WebP$/],
  ["animated.webp", "TypeError", /the WebP file is an animation; expected a still image$/],
  ["golden.safetensors", "TypeError", /the file is no image that Tessera knows; expected a PNG, a JPEG or a WebP$/],
  ["none.png", "Error", /^Cannot read ".*none\.png": there is no such file$/],
  [".", "Error", /it is a folder/],
];

for (const [file, name, message] of refused) {
  Deno.test(`readImage() rejects ${file}`, async () => {
    await assert.rejects(readImage(new URL(file, folder).pathname), (error: Error) => {
      assert.equal(error.name, name);
      assert.match(error.message, message);
      return true;
    });
  });
}

for (const file of ["down.png", "colour.jpg", "progressive.jpg", "lossy.webp", "lossless.webp"]) {
  Deno.test(`readImage() rejects ${file} cut short anywhere, and continues reading others`, async () => {
    const bytes = await read(file);
    for (const share of [0.001, 0.05, 0.5, 0.99]) {
      const cut = bytes.slice(0, Math.ceil(bytes.length * share));
      await assert.rejects(
        readImage(cut),
        (error: Error) => /^Cannot read an image of \d+ bytes: the /.test(error.message),
      );
    }
    await readImage(bytes);
  });
}

Deno.test("readImage() rejects damaged pixels", async () => {
  for (const file of ["down.png", "lossless.webp"]) {
    const bytes = await read(file);
    for (let at = 60; at < bytes.length; at += 29) bytes[at]! ^= 0x5a;
    await assert.rejects(readImage(bytes), { name: "SyntaxError", message: /file is damaged/ });
  }
});

Deno.test("readImage() rejects an image that says it is huge before it decodes it", async () => {
  const png = await read("down.png");
  new DataView(png.buffer).setUint32(16, 100_000);
  new DataView(png.buffer).setUint32(20, 100_000);
  await assert.rejects(readImage(png), {
    name: "RangeError",
    message: `Cannot read an image of ${png.length} bytes: the image is 100000 × 100000 pixels, ` +
      "more than the 89478485 that are decoded; make it smaller first",
  });
  const jpeg = await read("colour.jpg");
  const frame = jpeg.findIndex((byte, i) => byte === 0xff && jpeg[i + 1] === 0xc0);
  new DataView(jpeg.buffer).setUint32(frame + 5, 0xffffffff);
  await assert.rejects(readImage(jpeg), { name: "RangeError", message: /65535 × 65535 pixels/ });
});
