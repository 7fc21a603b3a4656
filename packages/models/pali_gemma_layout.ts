/** The layout map of PaliGemma: Gemma's for the decoder, and Megatron's scheme for the vision tower. */
import type { DeviceMesh, LayoutMap } from "@tessera/mesh";
import { gemmaLayoutMap } from "./gemma_layout.ts";
import { layoutAxes, type LayoutAxisOptions } from "./layout_axes.ts";

/**
 * The layouts of PaliGemma's variables on a mesh: heads and intermediate units over the model axis, in both towers, and the
 * other axis of each kernel over the batch axis. Norms, position embeddings and the biases of what is added up are copied.
 *
 * @throws {RangeError} when the mesh lacks one of the two axes.
 */
export function paliGemmaLayoutMap<Axis extends string>(
  mesh: DeviceMesh<Axis>,
  options: LayoutAxisOptions<NoInfer<Axis>> = {},
): LayoutMap<Axis> {
  const { model, batch } = layoutAxes("PaliGemma", mesh, options);
  const block = "image_encoder/encoder_block.*";
  return gemmaLayoutMap(mesh, options)
    .set("image_encoder/encoder_embeddings/embedding_conv/kernel", [null, null, null, batch])
    .set(`${block}(query|key|value)_proj/kernel`, [batch, model])
    .set(`${block}(query|key|value)_proj/bias`, [model])
    .set(`${block}out_proj/kernel`, [model, batch])
    .set(`${block}mlp_dense_1/kernel`, [batch, model])
    .set(`${block}mlp_dense_1/bias`, [model])
    .set(`${block}mlp_dense_2/kernel`, [model, batch])
    // What it sums over the model axis travels with the tokens' embeddings, which are summed over it too.
    .set("image_classifier/kernel", [model, batch]);
}
