/** The names that the packages export, read from their sources. */
import manifest from "../package.json" with { type: "json" };

/** The packages of the workspace that the tests may read: those that `package.json` declares. */
export const packages: readonly string[] = Object.keys(manifest.dependencies)
  .filter((name) => name === "tessera" || name.startsWith("@tessera/"));

/** The packages that a package of the workspace imports, as its `package.json` declares. */
export function dependenciesOf(name: string): readonly string[] {
  return Object.keys(JSON.parse(manifestOf(name, "package.json")).dependencies);
}

/** The names that a package exports by an import of each of its entries, such as `.` and `./testing`. */
export function exportsOf(name: string): ReadonlyMap<string, readonly string[]> {
  const { exports } = JSON.parse(manifestOf(name, "deno.json"));
  const entries: Record<string, string> = typeof exports === "string" ? { ".": exports } : exports;
  return new Map(Object.keys(entries).map((entry) => [entry, namesIn(import.meta.resolve(name + entry.slice(1)))]));
}

function manifestOf(name: string, file: string): string {
  return Deno.readTextFileSync(new URL(file, import.meta.resolve(name)));
}

/** The names that a module exports, types too, and those of the modules that it exports as a whole. */
function namesIn(url: string): readonly string[] {
  const source = Deno.readTextFileSync(new URL(url)).replaceAll(/\/\*[^]*?\*\//g, "").replaceAll(/^\s*\/\/.*$/gm, "");
  const lists = Array.from(source.matchAll(/^export (?:type )?\{([^}]*)\}/gm), ([, list]) => list!.split(","));
  const listed = lists.flat().map((item) => item.trim().replace(/^type /, "").split(" as ").at(-1)!);
  const declared = Array.from(
    source.matchAll(/^export (?:abstract |async )*(?:function\*?|class|const|let|interface|type) (\w+)/gm),
    ([, name]) => name!,
  );
  const others = Array.from(source.matchAll(/^export \* from "([^"]*)"/gm), ([, from]) => {
    return namesIn(from!.startsWith(".") ? new URL(from!, url).href : import.meta.resolve(from!));
  });
  return [...new Set([...listed.filter((name) => name !== ""), ...declared, ...others.flat()])];
}
