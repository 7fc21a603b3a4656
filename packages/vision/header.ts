/**
 * What an image file says of itself before anything is decoded: its format, its size, and how it is turned.
 *
 * Formats: PNG (https://www.w3.org/TR/png-3), JPEG (ITU-T T.81), WebP (RFC 9649), EXIF (CIPA DC-008).
 */

/** The formats that are read. */
export type ImageFormat = "png" | "jpeg" | "webp";

/** What an image file says of itself. */
export interface ImageHeader {
  /** The format. */
  readonly format: ImageFormat;
  /** The width as stored, in pixels. */
  readonly width: number;
  /** The height as stored, in pixels. */
  readonly height: number;
  /** How the stored image is to be turned, from 1 to 8, by EXIF's numbers; 1 leaves it as it is. */
  readonly orientation: number;
  /** The bits of one channel of one pixel. */
  readonly bitDepth: number;
  /** The number of channels of a pixel, alpha included; 1 where pixels are numbers of a palette. */
  readonly channels: number;
}

/** The beginning of a file is not that of an image, or its parts do not fit together. */
function damaged(format: string, what: string): never {
  throw new SyntaxError(`The ${format} file is damaged: ${what}`);
}

function text(bytes: Uint8Array, start: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(start, start + length));
}

/** Parts of a file as numbers; reading behind its end is an error that names the format. */
function reader(bytes: Uint8Array, format: string) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const within = (at: number, length: number) => {
    if (at + length > bytes.length) damaged(format, `it ends after ${bytes.length} bytes, in the middle of its header`);
    return at;
  };
  return {
    u8: (at: number) => view.getUint8(within(at, 1)),
    u16: (at: number, little = false) => view.getUint16(within(at, 2), little),
    u24: (at: number) => view.getUint16(within(at, 3), true) + view.getUint8(at + 2) * 0x10000,
    u32: (at: number, little = false) => view.getUint32(within(at, 4), little),
  };
}

/** The orientation in EXIF data, which is a TIFF file; 1 where it names none. */
function exifOrientation(exif: Uint8Array): number {
  const start = text(exif, 0, 4) === "Exif" ? 6 : 0;
  const little = text(exif, start, 2) === "II";
  const { u16, u32 } = reader(exif, "EXIF");
  try {
    const directory = start + u32(start + 4, little);
    const entries = u16(directory, little);
    for (let entry = 0; entry < entries; entry++) {
      const at = directory + 2 + 12 * entry;
      if (u16(at, little) !== 0x0112) continue;
      const orientation = u16(at + 8, little);
      return orientation >= 1 && orientation <= 8 ? orientation : 1;
    }
  } catch {
    // As in Pillow, EXIF data that cannot be read turns nothing.
  }
  return 1;
}

/** The channels of a PNG by its color type. */
const pngChannels: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

function pngHeader(bytes: Uint8Array): ImageHeader {
  const { u8, u32 } = reader(bytes, "PNG");
  if (text(bytes, 12, 4) !== "IHDR") damaged("PNG", "it does not begin with IHDR");
  const channels = pngChannels[u8(25)] ?? damaged("PNG", `it has color type ${u8(25)}`);
  let orientation = 1;
  for (let at = 8; at + 8 <= bytes.length; at += 12 + u32(at)) {
    if (text(bytes, at + 4, 4) === "eXIf") orientation = exifOrientation(bytes.subarray(at + 8, at + 8 + u32(at)));
  }
  return { format: "png", width: u32(16), height: u32(20), orientation, bitDepth: u8(24), channels };
}

/** Markers of the frame headers; 0xc4, 0xc8 and 0xcc among them are something else. */
function isFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
}

const endOfImage = 0xd9;
const startOfScan = 0xda;

function jpegHeader(bytes: Uint8Array): ImageHeader {
  const { u8, u16 } = reader(bytes, "JPEG");
  let orientation: number | null = null;
  let frame: { width: number; height: number; bitDepth: number; channels: number } | null = null;
  let at = 2;
  for (;;) {
    while (u8(at) === 0xff && u8(at + 1) === 0xff) at++;
    if (u8(at) !== 0xff) damaged("JPEG", `there is no marker at byte ${at}`);
    const marker = u8(at + 1);
    if (marker === startOfScan || marker === endOfImage) break;
    const length = u16(at + 2);
    if (marker === 0xe1 && text(bytes, at + 4, 4) === "Exif") {
      orientation ??= exifOrientation(bytes.subarray(at + 4, at + 2 + length));
    }
    if (isFrame(marker)) {
      frame = { bitDepth: u8(at + 4), height: u16(at + 5), width: u16(at + 7), channels: u8(at + 9) };
    }
    at += 2 + length;
  }
  if (frame === null) damaged("JPEG", "it has no frame");
  if (!endsWithMarker(bytes, at)) damaged("JPEG", "it has no end; part of the file is missing");
  return { format: "jpeg", ...frame, orientation: orientation ?? 1 };
}

/** Whether the mark that ends an image comes after the start of its data. */
function endsWithMarker(bytes: Uint8Array, start: number): boolean {
  for (let at = bytes.length - 2; at > start; at--) {
    if (bytes[at] === 0xff && bytes[at + 1] === endOfImage) return true;
  }
  return false;
}

/** The sizes of the three kinds of WebP images, by the name of the chunk that has it; each less one but in "VP8 ". */
function webpSize(
  bytes: Uint8Array,
  kind: string,
  at: number,
): { width: number; height: number; channels: number } | null {
  const { u16, u24, u32, u8 } = reader(bytes, "WebP");
  switch (kind) {
    case "VP8X":
      return { width: u24(at + 4) + 1, height: u24(at + 7) + 1, channels: (u8(at) & 0x10) === 0 ? 3 : 4 };
    case "VP8L":
      return {
        width: (u32(at + 1, true) & 0x3fff) + 1,
        height: (u32(at + 1, true) >> 14 & 0x3fff) + 1,
        channels: 4,
      };
    case "VP8 ":
      return { width: u16(at + 6, true) & 0x3fff, height: u16(at + 8, true) & 0x3fff, channels: 3 };
  }
  return null;
}

function webpHeader(bytes: Uint8Array): ImageHeader {
  const { u32 } = reader(bytes, "WebP");
  const length = u32(4, true) + 8;
  if (length > bytes.length) damaged("WebP", `it has ${bytes.length} of ${length} bytes`);
  let size: ReturnType<typeof webpSize> = null;
  let orientation = 1;
  for (let at = 12; at + 8 <= length;) {
    const [kind, chunk] = [text(bytes, at, 4), u32(at + 4, true)];
    if (kind === "ANIM") throw new TypeError("The WebP file is an animation; expected a still image");
    size ??= webpSize(bytes, kind, at + 8);
    if (kind === "EXIF") orientation = exifOrientation(bytes.subarray(at + 8, at + 8 + chunk));
    at += 8 + chunk + chunk % 2;
  }
  if (size === null) damaged("WebP", "it holds no image");
  return { format: "webp", ...size, orientation, bitDepth: 8 };
}

interface Signature {
  readonly begins: (bytes: Uint8Array) => boolean;
  readonly header: (bytes: Uint8Array) => ImageHeader;
}

const signatures: readonly Signature[] = [
  { begins: (bytes) => text(bytes, 0, 8) === "\x89PNG\r\n\x1a\n", header: pngHeader },
  { begins: (bytes) => text(bytes, 0, 3) === "\xff\xd8\xff", header: jpegHeader },
  { begins: (bytes) => text(bytes, 0, 4) === "RIFF" && text(bytes, 8, 4) === "WEBP", header: webpHeader },
];

/** What other files begin with that people take for images of ours. */
const others: readonly (readonly [name: string, begins: RegExp])[] = [
  ["GIF", /^GIF8/],
  ["BMP", /^BM/],
  ["TIFF", /^(II\*\0|MM\0\*)/],
  ["AVIF or HEIC", /^....ftyp/s],
  ["SVG or XML", /^\s*</],
];

/**
 * What an image file says of itself.
 *
 * @throws {TypeError} when it is of no format that is read; the message names the one that it is of, where it is known.
 * @throws {SyntaxError} when it ends early, or its parts do not fit together.
 */
export function readImageHeader(bytes: Uint8Array): ImageHeader {
  const found = signatures.find(({ begins }) => begins(bytes));
  if (found === undefined) {
    if (bytes.length === 0) throw new TypeError("The file is empty; expected a PNG, a JPEG or a WebP");
    const other = others.find(([, begins]) => begins.test(text(bytes, 0, 16)));
    throw new TypeError(
      `The file is ${
        other === undefined ? "no image that Tessera knows" : `a ${other[0]}`
      }; expected a PNG, a JPEG or a WebP`,
    );
  }
  const header = found.header(bytes);
  if (header.width > 0 && header.height > 0) return header;
  throw new SyntaxError(`The ${header.format} file is damaged: it is ${header.width} × ${header.height} pixels`);
}
