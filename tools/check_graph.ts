/**
 * Checks that the packages keep to the layers of the design and that their two manifests agree.
 *
 * The layers are one table, lowest first; a package imports only from the layers above it in the table. The rest follows
 * from there being two manifests per package, `deno.json` for Deno and `package.json` for npm and turbo: turbo orders and
 * caches test runs by what `package.json` declares, so an import that is not declared there would let a stale pass stand,
 * and runs the scripts that stand there, so tests that none of them names would never run.
 */
import { findImports, splitSpecifier } from "./imports.ts";
import { isTestFile, listMembers, type Manifest, type Member, readManifest } from "./workspace.ts";

/** The folders of the workspace, lowest layer first; `*` stands for any one folder. Siblings share a row. */
export const layers: readonly (readonly string[])[] = [
  ["packages/text"],
  ["packages/core"],
  ["packages/mesh"],
  ["packages/runtime"],
  ["packages/backend-onnx", "packages/backend-webgpu"],
  ["packages/wgsl-threads"],
  ["packages/files"],
  ["packages/backends"],
  ["packages/tokenizer"],
  ["packages/hub"],
  ["packages/nn"],
  ["packages/convert"],
  ["packages/vision"],
  ["packages/lora"],
  ["packages/train"],
  ["packages/models"],
  ["packages/report"],
  ["packages/tessera"],
  ["packages/tiny"],
  ["packages/cli"],
  ["apps/*"],
  ["test", "tools"],
];

/** The workspace, indexed for the checks. */
interface Tree {
  readonly root: string;
  readonly members: readonly Member[];
  readonly byName: ReadonlyMap<string, Member>;
  /** The development dependencies of the root, which are tools and types that no file imports. */
  readonly shared: Readonly<Record<string, string>>;
}

/**
 * Checks the workspace in a folder and returns what is wrong, one sentence each; nothing if all is well.
 *
 * @throws {SyntaxError} If a manifest is not JSON.
 */
export function checkGraph(root: string): string[] {
  const members = listMembers(root);
  const byName = new Map(members.flatMap((member) => member.npm?.name ? [[member.npm.name, member]] : []));
  const shared = readManifest(`${root}/package.json`)?.devDependencies ?? {};
  const tree: Tree = { root, members, byName, shared };
  return [
    ...checkPins("package.json", shared, tree),
    ...checkAgreement(tree),
    ...members.flatMap((member) => [
      ...checkManifests(member),
      ...checkTestScripts(member),
      ...checkDependencies(member, tree),
      ...checkImports(member, tree),
      ...checkCycles(member, tree),
    ]),
  ];
}

function layerOf(folder: string): number {
  return layers.findIndex((row) =>
    row.some((pattern) => pattern === folder || pattern.endsWith("/*") && folder.startsWith(pattern.slice(0, -1)))
  );
}

function checkManifests({ folder, deno, npm }: Member): string[] {
  if (!npm) return [`${folder}: has no package.json, so turbo does not see it`];
  if (!deno) return [`${folder}: has no deno.json, so Deno does not see it`];
  const problems = [];
  if (layerOf(folder) < 0) problems.push(`${folder}: has no place in the layers of tools/check_graph.ts`);
  if (deno.name !== npm.name) {
    problems.push(`${folder}: is named "${deno.name}" in deno.json and "${npm.name}" in package.json`);
  }
  if (deno.version !== npm.version) {
    problems.push(`${folder}: has version ${deno.version} in deno.json and ${npm.version} in package.json`);
  }
  const [ours, theirs] = [exportsOf(deno), exportsOf(npm)].map((entries) => JSON.stringify(entries));
  if (ours !== theirs && (npm.exports !== undefined || folder.startsWith("packages/"))) {
    problems.push(`${folder}: exports ${ours} in deno.json and ${theirs} in package.json`);
  }
  for (const target of Object.values(deno.imports ?? {})) {
    problems.push(`${folder}: maps an import to "${target}" in deno.json; declare it in package.json`);
  }
  return problems;
}

/** The files of slow tests, as the scripts of their member name them. */
const slowPattern = '"**/*_slow_test.ts"';

/** turbo runs `test`, and for the slow tests, which are in files named `x_slow_test.ts`, `test:slow`. */
function checkTestScripts({ folder, npm, files }: Member): string[] {
  if (!npm) return [];
  const { test, "test:slow": slow } = npm.scripts ?? {};
  if (!test) return [`${folder}: has no script "test" in package.json, so turbo runs none of its tests`];
  const isSlow = files.some((file) => file.endsWith("_slow_test.ts"));
  if (!isSlow) {
    return slow ? [`${folder}: has a script "test:slow" in package.json, and no file named x_slow_test.ts`] : [];
  }
  return [
    ...(test.includes(`--ignore=${slowPattern}`) ? [] : [
      `${folder}: has slow tests, which the script "test" in package.json must leave out by --ignore=${slowPattern}`,
    ]),
    ...(slow?.endsWith(` ${slowPattern}`) ? [] : [
      `${folder}: has slow tests, which a script "test:slow" in package.json must run: deno test … ${slowPattern}`,
    ]),
  ];
}

/** The exports of a manifest by sub-path, in order of their names. */
function exportsOf({ exports = {} }: Manifest): Record<string, string> {
  if (typeof exports === "string") return { ".": exports };
  return Object.fromEntries(Object.entries(exports).sort(([a], [b]) => a < b ? -1 : 1));
}

/** Every package has the same version, and every dependency has one version across the packages. */
function checkAgreement({ members, shared }: Tree): string[] {
  const users = new Map<string, Map<string, string>>();
  function use(name: string, version: string, user: string) {
    if (!users.has(name)) users.set(name, new Map());
    const versions = users.get(name)!;
    if (!versions.has(version)) versions.set(version, user);
  }
  for (const [name, version] of Object.entries(shared)) use(name, version, "the root");
  for (const { folder, npm } of members) {
    if (npm?.version) use("the workspace", npm.version, folder);
    for (const [name, version] of Object.entries(declared(npm))) use(name, version, folder);
  }
  return [...users].filter(([, versions]) => versions.size > 1).map(([name, versions]) => {
    const list = Array.from(versions, ([version, user]) => `${version} (${user})`).join(", ");
    return `${name}: has several versions: ${list}`;
  });
}

function declared(npm: Manifest | null): Readonly<Record<string, string>> {
  return { ...npm?.devDependencies, ...npm?.dependencies };
}

function checkDependencies(member: Member, tree: Tree): string[] {
  const up = Object.keys(declared(member.npm)).flatMap((name) => {
    const target = tree.byName.get(name);
    return target && !isBelow(target, member)
      ? [`${member.folder}: declares ${name}, which is not in a lower layer`]
      : [];
  });
  return [...up, ...checkPins(`${member.folder}/package.json`, declared(member.npm), tree)];
}

function checkPins(where: string, dependencies: Readonly<Record<string, string>>, { byName }: Tree): string[] {
  return Object.entries(dependencies).flatMap(([name, version]) => {
    if (byName.has(name)) {
      return version === "*" ? [] : [`${where}: pins ${name} to "${version}"; packages of the workspace take "*"`];
    }
    const exact = /^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version);
    return exact ? [] : [`${where}: pins ${name} to "${version}"; name one exact version`];
  });
}

function isBelow(target: Member, member: Member): boolean {
  return layerOf(target.folder) < layerOf(member.folder);
}

function checkImports(member: Member, tree: Tree): string[] {
  return member.files.flatMap((file) => {
    const source = Deno.readTextFileSync(`${tree.root}/${member.folder}/${file}`);
    const specifiers = new Set(findImports(source).map((found) => found.specifier));
    return [...specifiers].flatMap((specifier) => {
      const problem = checkImport(specifier, file, member, tree);
      return problem ? [`${member.folder}/${file}: imports "${specifier}", ${problem}`] : [];
    });
  });
}

/** Says what is wrong with one import, or `null` if nothing is. */
function checkImport(specifier: string, file: string, member: Member, tree: Tree): string | null {
  if (specifier.startsWith("node:")) return null;
  if (specifier.startsWith(".")) {
    return resolve(file, specifier) === null ? "which lies outside the package; import it by its name" : null;
  }
  if (/^[a-z]+:|^\//.test(specifier)) return "not by a name that package.json declares";
  const { name, subpath } = splitSpecifier(specifier);
  const target = tree.byName.get(name);
  if (target === member) return isTestFile(file) ? null : "its own package; import the file by its path";
  if (target) {
    if (!isBelow(target, member)) return "which is not in a lower layer";
    if (!Object.hasOwn(exportsOf(target.npm ?? {}), subpath)) return "which its package.json does not export";
  }
  const allowed = isTestFile(file) ? declared(member.npm) : member.npm?.dependencies ?? {};
  return Object.hasOwn(allowed, name) ? null : "which its package.json does not declare";
}

/** Resolves a relative specifier to a path within the package, or `null` if it leads out. */
function resolve(file: string, specifier: string): string | null {
  const path = file.split("/").slice(0, -1);
  for (const part of specifier.split("/")) {
    if (part === "..") {
      if (path.pop() === undefined) return null;
    } else if (part !== ".") path.push(part);
  }
  return path.join("/");
}

/** Finds files of one package that load each other in a circle; types and `import()` close none. */
function checkCycles(member: Member, { root }: Tree): string[] {
  const problems: string[] = [];
  const done = new Set<string>();
  const path: string[] = [];
  function visit(file: string) {
    const start = path.indexOf(file);
    if (start >= 0) {
      problems.push(`${member.folder}: has an import cycle: ${[...path.slice(start), file].join(" -> ")}`);
    }
    if (start >= 0 || done.has(file) || !member.files.includes(file)) return;
    path.push(file);
    for (const found of findImports(Deno.readTextFileSync(`${root}/${member.folder}/${file}`))) {
      const target = found.specifier.startsWith(".") ? resolve(file, found.specifier) : null;
      if (target !== null && !found.typeOnly && !found.dynamic) visit(target);
    }
    path.pop();
    done.add(file);
  }
  for (const file of member.files) visit(file);
  return problems;
}

if (import.meta.main) {
  const problems = checkGraph(".");
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) Deno.exit(1);
}
