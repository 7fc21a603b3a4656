/** Files that the user gives to the page, by a button or by dropping them. */

/** Calls `take` with what the user picks with an input or drops on its surroundings; the files of one folder, not of those in it. */
export function acceptFiles(input: HTMLInputElement, drop: HTMLElement, take: (files: File[]) => void): void {
  input.addEventListener("change", () => {
    const files = [...input.files ?? []];
    // The same files can be picked again, such as after they changed.
    input.value = "";
    if (files.length > 0) take(topFiles(files));
  });
  for (const name of ["dragenter", "dragover"] as const) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  for (const name of ["dragleave", "drop"] as const) {
    drop.addEventListener(name, () => drop.classList.remove("over"));
  }
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    const items = [...event.dataTransfer?.items ?? []];
    // The entries are gone once this returns, so they are taken at once.
    const entries = items.flatMap((item) => item.webkitGetAsEntry() ?? []);
    void Promise.all(entries.map(filesOf)).then((files) => {
      if (files.flat().length > 0) take(files.flat());
    });
  });
}

/** A picked folder comes with everything below it; a model's files lie at its top. */
function topFiles(files: readonly File[]): File[] {
  const depth = ({ webkitRelativePath: path }: File) => path.split("/").length;
  const least = Math.min(...files.map(depth));
  return files.filter((file) => depth(file) === least && !file.name.startsWith("."));
}

async function filesOf(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile) {
    return [await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject))];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: File[] = [];
  for (;;) {
    // A folder is read in portions; the last is empty.
    const portion = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (portion.length === 0) return found;
    const files = portion.filter(({ isFile, name }) => isFile && !name.startsWith("."));
    found.push(...(await Promise.all(files.map(filesOf))).flat());
  }
}
