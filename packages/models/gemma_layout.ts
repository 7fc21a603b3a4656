/** The published layout map of Gemma 1 and Gemma 2: heads and intermediate units over one mesh axis, hidden units over the other. */
import { type DeviceMesh, LayoutMap } from "@tessera/mesh";

/** What the axes of a mesh are called. */
export interface GemmaLayoutOptions<Axis extends string> {
  /** The axis that splits heads, intermediate units and the vocabulary; `model` unless given. */
  readonly modelAxis?: Axis;
  /** The axis that splits batches and the hidden units of kernels; `batch` unless given. */
  readonly batchAxis?: Axis;
}

/**
 * The layouts of Gemma's variables on a mesh, with Keras's keys; the scales of norms are copied.
 *
 * @throws {RangeError} when the mesh lacks one of the two axes.
 */
export function gemmaLayoutMap<Axis extends string>(
  mesh: DeviceMesh<Axis>,
  options: GemmaLayoutOptions<NoInfer<Axis>> = {},
): LayoutMap<Axis> {
  const model = axisOf(mesh, "modelAxis", options.modelAxis ?? "model");
  const batch = axisOf(mesh, "batchAxis", options.batchAxis ?? "batch");
  return new LayoutMap(mesh)
    .set("token_embedding/embeddings", [model, batch])
    .set("decoder_block.*attention.*(query|key|value).kernel", [model, batch, null])
    .set("decoder_block.*attention_output.kernel", [model, null, batch])
    .set("decoder_block.*ffw_gating.kernel", [batch, model])
    .set("decoder_block.*ffw_gating_2.kernel", [batch, model])
    .set("decoder_block.*ffw_linear.kernel", [model, batch]);
}

function axisOf<Axis extends string>(mesh: DeviceMesh<Axis>, option: string, name: string): Axis {
  if (mesh.hasAxis(name)) return name;
  throw new RangeError(
    `Cannot lay Gemma out: ${mesh} has no axis "${name}"; say with ${option} which of its axes to use`,
  );
}
