/** What stands for `sha256.ts` in a browser, by the `browser` field of `package.json`: browsers hash what is in memory only. */
import type * as streaming from "./sha256.ts";

/** The SHA-256 of a blob, in hexadecimal digits. */
export const sha256: typeof streaming.sha256 = async (blob, onRead = () => {}) => {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await blob.arrayBuffer()));
  onRead(blob.size);
  return digest.toHex();
};
