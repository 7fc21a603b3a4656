/** What stands for `download.ts` in a browser, by the `browser` field of `package.json`: a page has no cache on disk. */
import type * as download from "./download.ts";

/** Refuses to download. */
export const downloadRepository: typeof download.downloadRepository = (handle) =>
  Promise.reject(
    new Error(
      `Cannot download "${
        typeof handle === "string" ? handle : handle.repository
      }": a browser has no cache on disk; fetch ` +
        "the files with fetchFolder(address, names), or give those that the user picked, as blobFolder(files)",
    ),
  );
