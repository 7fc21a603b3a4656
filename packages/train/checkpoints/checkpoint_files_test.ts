import assert from "node:assert/strict";
import { hostTensor } from "@tessera/core";
import { blobFolder, type FileEntry, type Folder, folderOf, type TensorSource } from "@tessera/files";
import {
  listCheckpoints,
  openTensors,
  readState,
  removeCheckpoints,
  writeTrainingCheckpoint,
} from "./checkpoint_files.ts";

/** A folder whose program is killed after a number of writes and removals: what it had done stays, nothing follows. */
function mortalFolder(folder: Folder, lifetime: number): Folder {
  let left = lifetime;
  const live = () => {
    if (left-- <= 0) throw new Error("Killed");
  };
  const mortal = (file: FileEntry): FileEntry => ({
    path: file.path,
    exists: () => file.exists(),
    text: () => file.text(),
    stream: () => file.stream(),
    blob: () => file.blob(),
    open: (options) => file.open(options),
    write: (fill) =>
      file.write((write) =>
        fill(async (bytes) => {
          live();
          await write(bytes);
        }).then(live)
      ),
    // deno-lint-ignore require-await -- a program that was killed rejects
    remove: async () => {
      live();
      return file.remove();
    },
  });
  return { path: folder.path, list: () => folder.list(), file: (name) => mortal(folder.file(name)) };
}

/** The tensors of a training after a number of updates. */
function tensorsAt(step: number): TensorSource[] {
  return ["weight", "momentum"].map((name) => {
    const tensor = hostTensor("float32", [3], Float32Array.of(step, step + 0.5, -step));
    return { name, type: tensor, read: () => tensor };
  });
}

async function saveAt(folder: Folder, step: number): Promise<void> {
  const report = { step, steps: 9, epoch: 0, loss: 1 / step, tokens: 7, learningRate: 0.1 };
  const steps = Array.from({ length: step }, () => ({ ...report, gradientNorm: Infinity, tokensPerSecond: NaN }));
  const progress = {
    updates: step,
    epoch: 0,
    epochSteps: step,
    lossSum: 0.1,
    tokenSum: 7,
    history: { steps, epochs: [] },
  };
  await writeTrainingCheckpoint(folder, { run: {}, progress }, tensorsAt(step));
  await removeCheckpoints(folder, { keep: 1 });
}

/** Reads the last checkpoint whole, and gives its number of updates; 0 where there is none. */
async function readLast(folder: Folder): Promise<number> {
  const [step] = await listCheckpoints(folder);
  if (step === undefined) return 0;
  const { progress } = await readState(folder, step);
  const { gradientNorm, tokensPerSecond } = progress.history.steps.at(-1)!;
  assert.deepEqual([progress.updates, gradientNorm, tokensPerSecond], [step, Infinity, NaN]);
  const tensors = await openTensors(folder, step);
  for (const { name, read } of tensorsAt(step)) assert.deepEqual(tensors.read(name), await read());
  tensors.close();
  return step;
}

Deno.test("a program that is killed anywhere while it saves leaves a whole checkpoint", async () => {
  const found = new Set<number>();
  for (let lifetime = 0;; lifetime++) {
    const folder = blobFolder();
    const mortal = mortalFolder(folder, lifetime);
    let saved = 0;
    try {
      while (saved < 3) {
        await saveAt(mortal, saved + 1);
        saved++;
      }
    } catch (error) {
      assert.equal((error as Error).message, "Killed");
    }
    const last = await readLast(folder);
    assert(last === saved || last === saved + 1, `${last} is there after ${saved} were saved`);
    found.add(last);
    if (saved === 3) break;
    await saveAt(folder, 4);
    assert.deepEqual([...folder.files.keys()], ["checkpoint-000004.safetensors", "checkpoint-000004.json"]);
  }
  assert.deepEqual([...found], [0, 1, 2, 3]);
});

Deno.test("what a killed program left half done on the disk is no checkpoint, and goes with the next one", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const disk = folderOf(folder);
    await saveAt(disk, 1);
    for (const name of ["checkpoint-000002.safetensors.tmp-0a1b2c3d", "checkpoint-000002.safetensors"]) {
      await Deno.writeTextFile(`${folder}/${name}`, "half of it");
    }
    await Deno.writeTextFile(`${folder}/checkpoint-notes.txt`, "mine");
    assert.equal(await readLast(disk), 1);
    await saveAt(disk, 2);
    assert.equal(await readLast(disk), 2);
    assert.deepEqual(Array.from(Deno.readDirSync(folder), ({ name }) => name).sort(), [
      "checkpoint-000002.json",
      "checkpoint-000002.safetensors",
      "checkpoint-notes.txt",
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
