/** The decoders, compiled to WebAssembly: libpng's counterpart in Rust, MozJPEG, and libwebp. Each loads when it is first needed. */
import type { ImageFormat, ImageHeader } from "./header.ts";

/** Pixels as RGBA, [height, width, 4]. */
interface Decoded {
  readonly data: ArrayLike<number>;
}

type Codec = (bytes: Uint8Array, header: ImageHeader) => Promise<Decoded>;

/** The bytes in a buffer of their own, which the decoders want. */
function bufferOf(bytes: Uint8Array): ArrayBuffer {
  return Uint8Array.from(bytes).buffer;
}

/** The decoder of each format. */
export const codecs: Readonly<Record<ImageFormat, Codec>> = {
  async png(bytes, { bitDepth, channels }) {
    const { decode } = await import("@jsquash/png/decode.js");
    // Gray in sixteen bits is cut to eight by its reader, not scaled: see decode.ts.
    return bitDepth === 16 && channels === 1
      ? await decode(bufferOf(bytes), { bitDepth: 16 })
      : await decode(bufferOf(bytes));
  },
  async jpeg(bytes) {
    const { default: decode } = await import("@jsquash/jpeg/decode.js");
    return await decode(bufferOf(bytes));
  },
  async webp(bytes) {
    const { default: decode } = await import("@jsquash/webp/decode.js");
    return await decode(bufferOf(bytes));
  },
};
