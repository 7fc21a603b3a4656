/** What the tests of architectures share: meshes without devices, what a mesh sends, and what it replicates. */
import assert from "node:assert/strict";
import { gradients, iota, type TensorType } from "@tessera/core";
import { enableLora, type LoraLayout } from "@tessera/lora";
import { DeviceMesh, ModelParallel, type Traffic, trafficOf, virtualDevices } from "@tessera/mesh";
import { shardProgram, traceProgram } from "@tessera/nn";
import type { Backbone } from "./backbone.ts";

/** A mesh of devices that exist by name only. */
export function virtualMesh(batch: number, model: number): DeviceMesh<"batch" | "model"> {
  return new DeviceMesh([batch, model], ["batch", "model"], virtualDevices(batch * model));
}

/** The tokens that `trafficOfBlocks` sends through, [batch, time]. */
export const tracedTokens = [2, 8] as const;

/**
 * What four devices, by the published layouts, send for the hidden states of some tokens and, backward, for the gradients of what
 * is trained in the decoder blocks.
 */
export function trafficOfBlocks(backbone: Backbone, { backward = false } = {}): Traffic[] {
  const [batch, time] = tracedTokens;
  const hidden = { shape: [batch, time, backbone.hiddenDim], dtype: "float32" } satisfies TensorType;
  const ids = { shape: [batch, time], dtype: "int32" } satisfies TensorType;
  const traced = traceProgram("blocks", { tokenIds: ids, ct: hidden }, ({ tokenIds, ct }) => {
    const positions = iota([batch, time], 1);
    const y = backbone.hidden({ tokenIds, positions, keyPositions: positions, cache: null });
    if (!backward) return { y };
    const isInBlock = (path: string) => backbone.blockPaths.some((block) => path.startsWith(`${block}/`));
    const trained = backbone.variables.filter(({ trainable, path }) => trainable && isInBlock(path));
    const found = gradients(y.mul(ct).sum(), trained.map((variable) => variable.raw()));
    return { y, ...Object.fromEntries(found.map((gradient, i) => [trained[i]!.path, gradient])) };
  });
  const distribution = new ModelParallel({ layoutMap: backbone.getLayoutMap(virtualMesh(1, 4)) });
  return trafficOf(shardProgram(traced, distribution).graph);
}

/** The paths of the variables of two axes or more that the published layouts do not split over both axes of a 2 × 4 mesh. */
export function replicatedKernels(backbone: Backbone): string[] {
  const parallel = new ModelParallel({ layoutMap: backbone.getLayoutMap(virtualMesh(2, 4)) });
  parallel.check(backbone.variables);
  const kernels = backbone.variables.filter(({ path, shape }) => shape.length > 1 && !path.endsWith("/bias"));
  const axesOf = (variable: (typeof kernels)[number]) => parallel.getVariableLayout(variable).dims.flat();
  return kernels.filter((kernel) => axesOf(kernel).toSorted().join() !== "batch,model").map(({ path }) => path);
}

/** The published layouts, on a 2 × 4 mesh, of the variables whose paths match an expression. */
export function publishedLayouts(backbone: Backbone, paths: RegExp): Record<string, string> {
  const parallel = new ModelParallel({ layoutMap: backbone.getLayoutMap(virtualMesh(2, 4)), batchDimName: "batch" });
  parallel.check(backbone.variables);
  const found = backbone.variables.filter(({ path }) => paths.test(path));
  return Object.fromEntries(found.map((variable) => [variable.path, String(parallel.getVariableLayout(variable))]));
}

/**
 * Asserts that devices reduce the hidden states twice a block forward, whatever adapters there are, and twice more backward, and
 * send nothing else but one more reduction for the tokens' embeddings, whose vocabulary is sharded.
 */
export function assertTwoAllReducesABlock(make: (numLayers: number) => Backbone): void {
  for (const numLayers of [1, 3]) {
    for (const adapters of [null, "keras", "peft"] satisfies (LoraLayout | null)[]) {
      const backbone = make(numLayers);
      if (adapters !== null) enableLora(backbone, { rank: 8, layout: adapters, targets: ".*" });
      const [found, ...others] = trafficOfBlocks(backbone);
      const bytes = 4 * tracedTokens[0] * tracedTokens[1] * backbone.hiddenDim;
      const count = 2 * numLayers + 1;
      assert.deepEqual(others, [], `${adapters ?? "no"} adapters`);
      assert.deepEqual([found!.op, found!.count, found!.bytes], ["allReduce", count, count * bytes]);
    }
    const [found, ...others] = trafficOfBlocks(make(numLayers), { backward: true });
    assert.deepEqual(others, []);
    assert.deepEqual([found!.op, found!.count], ["allReduce", 4 * numLayers + 1]);
  }
}
