/** The members of the workspace and their source files, as the tools see them. */

/** What a `package.json` says, as far as the tools read it. */
export interface Manifest {
  /** The package's name. */
  readonly name?: string;
  /** The package's version. */
  readonly version?: string;
  /** The files that others may import: one path, or paths by sub-path. */
  readonly exports?: string | Readonly<Record<string, string>>;
  /** Commands by name; `test` is the one that turbo runs. */
  readonly scripts?: Readonly<Record<string, string>>;
  /** Versions by package name, of what the package's code imports. */
  readonly dependencies?: Readonly<Record<string, string>>;
  /** Versions by package name, of what only the package's tests and benchmarks import. */
  readonly devDependencies?: Readonly<Record<string, string>>;
  /** Import aliases, in a `deno.json`. */
  readonly imports?: Readonly<Record<string, string>>;
}

/** One package, app or test folder of the workspace. */
export interface Member {
  /** The folder, relative to the root, with forward slashes. */
  readonly folder: string;
  /** The contents of `deno.json`, or `null` without one. */
  readonly deno: Manifest | null;
  /** The contents of `package.json`, or `null` without one. */
  readonly npm: Manifest | null;
  /** The TypeScript files, relative to `folder`, sorted. */
  readonly files: readonly string[];
}

/** A pattern of the names of files that only tests and benchmarks load. */
const testFile = /(_test|_bench)\.tsx?$/;

/** Tells whether a file belongs to the tests or benchmarks of its package. */
export function isTestFile(file: string): boolean {
  return testFile.test(file) || /(^|\/)testdata\//.test(file);
}

/** Reads the JSON object in a file, or `null` where there is no such file. */
export function readManifest(path: string): Manifest | null {
  let text;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new SyntaxError(`Cannot parse ${path}: ${(cause as Error).message}`, { cause });
  }
}

/**
 * Lists the members that the root `package.json` names in `workspaces`, sorted by folder.
 *
 * @throws {SyntaxError} If a manifest is not JSON.
 */
export function listMembers(root: string): Member[] {
  const { workspaces = [] } = (readManifest(`${root}/package.json`) ?? {}) as { workspaces?: string[] };
  const folders = workspaces.flatMap((pattern) => {
    if (!pattern.endsWith("/*")) return [pattern];
    const parent = pattern.slice(0, -2);
    return entries(`${root}/${parent}`).filter((e) => e.isDirectory).map((e) => `${parent}/${e.name}`);
  });
  return folders.sort().map((folder) => ({
    folder,
    deno: readManifest(`${root}/${folder}/deno.json`),
    npm: readManifest(`${root}/${folder}/package.json`),
    files: sourceFiles(`${root}/${folder}`),
  })).filter((member) => member.deno !== null || member.npm !== null || member.files.length > 0);
}

function sourceFiles(folder: string, prefix = ""): string[] {
  return entries(folder).flatMap((entry) => {
    if (entry.name.startsWith(".") || entry.name === "node_modules") return [];
    if (entry.isDirectory) return sourceFiles(`${folder}/${entry.name}`, `${prefix}${entry.name}/`);
    return entry.isFile && /\.tsx?$/.test(entry.name) ? [prefix + entry.name] : [];
  });
}

function entries(folder: string): Deno.DirEntry[] {
  try {
    return [...Deno.readDirSync(folder)].sort((a, b) => a.name < b.name ? -1 : 1);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
