/** One module specifier that a file names. */
export interface Import {
  /** The specifier as written: `./graph.ts`, `@tessera/core`, `node:path`. */
  readonly specifier: string;
  /** Whether only types are imported and nothing is loaded at run time. */
  readonly typeOnly: boolean;
  /** Whether this is an `import()` expression, which loads later than the file that names it. */
  readonly dynamic: boolean;
}

const comment = /^[ \t]*(?:\*|\/\/|\/\*).*$/gm;
const clause = /^[ \t]*(?:import|export)\b([^"'`;()]*?)\bfrom\s*["']([^"']+)["']/gm;
const sideEffect = /^[ \t]*import\s*["']([^"']+)["']/gm;
const expression = /\bimport\(\s*["']([^"']+)["']/g;

/** Finds what a TypeScript file imports or re-exports, in any form that names the module literally. */
export function findImports(source: string): Import[] {
  const code = source.replace(comment, "");
  return [
    ...Array.from(code.matchAll(clause), ([, names = "", specifier = ""]) => ({
      specifier,
      typeOnly: isTypeOnly(names),
      dynamic: false,
    })),
    ...Array.from(code.matchAll(sideEffect), ([, specifier = ""]) => ({ specifier, typeOnly: false, dynamic: false })),
    ...Array.from(code.matchAll(expression), ([, specifier = ""]) => ({ specifier, typeOnly: false, dynamic: true })),
  ];
}

function isTypeOnly(names: string): boolean {
  const text = names.trim();
  if (/^type\b/.test(text)) return true;
  const list = /^\{([^}]*)\}$/.exec(text)?.[1];
  if (list === undefined) return false;
  const items = list.split(",").map((item) => item.trim()).filter(Boolean);
  return items.length > 0 && items.every((item) => /^type\s/.test(item));
}

/** Splits a bare specifier into a package's name and the sub-path within it: `.` or `./sub/path`. */
export function splitSpecifier(specifier: string): { name: string; subpath: string } {
  const parts = specifier.split("/");
  const length = specifier.startsWith("@") ? 2 : 1;
  return { name: parts.slice(0, length).join("/"), subpath: ["."].concat(parts.slice(length)).join("/") };
}
