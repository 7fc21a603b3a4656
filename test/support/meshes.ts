/** The meshes and distributions that the tests of sharded models share. */
import { type Backend, DataParallel, DeviceMesh, type Distribution, GemmaBackbone, ModelParallel } from "tessera";

/** The meshes, each a number of devices along `batch` and along `model`. */
export const meshShapes = [[1, 2], [2, 1], [2, 2], [1, 4], [4, 2], [2, 4]] as const;

/** A mesh of the first devices of a backend. */
export function meshOf(backend: Backend, batch: number, model: number): DeviceMesh<"batch" | "model"> {
  return new DeviceMesh([batch, model], ["batch", "model"], backend.devices.slice(0, batch * model));
}

/** Ways to lay a Gemma out on a mesh. */
export const distributions: Readonly<Record<string, (mesh: DeviceMesh<"batch" | "model">) => Distribution>> = {
  "the published map": (mesh) =>
    new ModelParallel({ layoutMap: GemmaBackbone.getLayoutMap(mesh), batchDimName: "batch", kvHeads: "replicate" }),
  "data parallelism": (mesh) => new DataParallel({ mesh }),
};
