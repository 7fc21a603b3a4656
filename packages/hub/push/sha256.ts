/** The digest of a blob, which is read as it is hashed and never in memory as a whole. */
import { createHash } from "node:crypto";

/** The SHA-256 of a blob, in hexadecimal digits; `onRead` is told of every piece that was read. */
export async function sha256(blob: Blob, onRead: (bytes: number) => void = () => {}): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of blob.stream()) {
    hash.update(piece);
    onRead(piece.length);
  }
  return hash.digest("hex");
}
