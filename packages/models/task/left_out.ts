/** What a checkpoint holds beyond the model that is loaded from it. */
import { tableName } from "@tessera/convert";
import type { Checkpoint } from "@tessera/files";
import { listNames } from "@tessera/text";
import type { BuiltModel } from "../architecture/architecture.ts";

/** Says what of a checkpoint is left out, and the modules that hold it. */
export function warnOfLeftOut(
  { leftOut, names }: Pick<BuiltModel, "leftOut" | "names">,
  { folder, tensors }: Pick<Checkpoint, "folder" | "tensors">,
  warn: (message: string) => void,
): void {
  if (leftOut === null) return;
  const found = [...tensors.keys()].filter((name) => leftOut.tensors.test(tableName(name, names)));
  if (found.length === 0) return;
  const modules = [...new Set(found.map((name) => name.split(".").slice(0, 2).join(".")))].sort();
  const from = listNames(modules, Infinity);
  warn(`"${folder}" is loaded without its ${leftOut.what}: ${found.length} tensors of ${from} are left out`);
}
