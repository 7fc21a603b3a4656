/** Saving files to the user's disk. */
import { zipSync } from "fflate";

/** Gives files to the user as one zip archive, in a folder called `name`. */
export async function downloadZip(name: string, files: ReadonlyMap<string, Blob>): Promise<void> {
  const contents = await Promise.all(
    Array.from(files, async ([file, blob]) => [`${name}/${file}`, new Uint8Array(await blob.arrayBuffer())] as const),
  );
  // Weights do not get smaller by compression. A fixed date makes equal adapters equal archives.
  const zip = zipSync(Object.fromEntries(contents), { level: 0, mtime: "2000-01-01T00:00:00" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([zip as Uint8Array<ArrayBuffer>], { type: "application/zip" }));
  link.download = `${name}.zip`;
  link.click();
  // The download has begun by then.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
