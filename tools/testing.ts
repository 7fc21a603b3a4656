/** Calls `use` with a temporary folder that holds the given files, texts by path, and removes it afterwards. */
export function withTree(files: Readonly<Record<string, string>>, use: (root: string) => void): void {
  const root = Deno.makeTempDirSync();
  try {
    for (const [path, text] of Object.entries(files)) {
      Deno.mkdirSync(`${root}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
      Deno.writeTextFileSync(`${root}/${path}`, text);
    }
    use(root);
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
}
