/** What stands for `disk.ts` in a browser, by the `browser` field of `package.json`: a page has no files by path. */
import type * as disk from "./disk.ts";

function refuse(what: string, path: string): never {
  throw new Error(
    `Cannot use the ${what} "${path}": a browser has no files by path; give those that the user picked, as blobFolder(files)`,
  );
}

/** Refuses a path. */
export const diskFolder: typeof disk.diskFolder = (path) => refuse("folder", path);

/** Refuses a path. */
export const diskFile: typeof disk.diskFile = (path) => refuse("file", path);

/** Tells that there are no folders. */
export const isFolder: typeof disk.isFolder = () => Promise.resolve(false);

/** Names a path in the folder of a file, which only messages show. */
export const pathBeside: typeof disk.pathBeside = (file, path) => file.slice(0, file.lastIndexOf("/") + 1) + path;

/** Leaves a blob as it is. */
export const countedBlob: typeof disk.countedBlob = (blob) => blob;

/** Tells that there is no environment. */
export const environmentVariable: typeof disk.environmentVariable = () => undefined;
