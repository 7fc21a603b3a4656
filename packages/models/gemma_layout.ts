/** The published layout map of Gemma 1 and Gemma 2: heads and intermediate units over one mesh axis, hidden units over the other. */
import { type DeviceMesh, LayoutMap } from "@tessera/mesh";
import { layoutAxes, type LayoutAxisOptions } from "./layout_axes.ts";

/**
 * The layouts of Gemma's variables on a mesh, with Keras's keys; the scales of norms are copied.
 *
 * @throws {RangeError} when the mesh lacks one of the two axes.
 */
export function gemmaLayoutMap<Axis extends string>(
  mesh: DeviceMesh<Axis>,
  options: LayoutAxisOptions<NoInfer<Axis>> = {},
): LayoutMap<Axis> {
  const { model, batch } = layoutAxes("Gemma", mesh, options);
  return new LayoutMap(mesh)
    .set("token_embedding/embeddings", [model, batch])
    .set("decoder_block.*attention.*(query|key|value).kernel", [model, batch, null])
    .set("decoder_block.*attention_output.kernel", [model, null, batch])
    .set("decoder_block.*ffw_gating.kernel", [batch, model])
    .set("decoder_block.*ffw_gating_2.kernel", [batch, model])
    .set("decoder_block.*ffw_linear.kernel", [model, batch]);
}
