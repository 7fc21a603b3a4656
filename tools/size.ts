/** Prints how many lines each package has, so that growth is seen: `deno task size`. */
import { isTestFile, listMembers } from "./workspace.ts";

/** The size of one package. */
export interface Size {
  /** The package's folder. */
  readonly folder: string;
  /** Files of source. */
  readonly files: number;
  /** Lines of source, comments and empty lines included. */
  readonly source: number;
  /** Lines of tests and benchmarks. */
  readonly tests: number;
  /** Lines of the longest file of source. */
  readonly longest: number;
}

/** Measures every package of the workspace in a folder. */
export function measure(root: string): Size[] {
  return listMembers(root).map(({ folder, files }) => {
    function lines(list: string[]): number[] {
      return list.map((file) => Deno.readTextFileSync(`${root}/${folder}/${file}`).trimEnd().split("\n").length);
    }
    const source = lines(files.filter((file) => !isTestFile(file)));
    const tests = lines(files.filter(isTestFile));
    return { folder, files: source.length, source: sum(source), tests: sum(tests), longest: Math.max(0, ...source) };
  });
}

/** Lays sizes out as a table with a line of totals. */
export function formatSizes(sizes: readonly Size[]): string {
  function total(key: Exclude<keyof Size, "folder">): number {
    return sum(sizes.map((size) => size[key]));
  }
  const longest = Math.max(0, ...sizes.map((size) => size.longest));
  const rows = [
    ["", "files", "source", "tests", "longest"],
    ...sizes.map(({ folder, ...counts }) => [folder, counts.files, counts.source, counts.tests, counts.longest]),
    ["total", total("files"), total("source"), total("tests"), longest],
  ].map((row) => row.map(String));
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row.map((cell, column) => column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)).join("  ")
  ).join("\n");
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

if (import.meta.main) console.log(formatSizes(measure(".")));
