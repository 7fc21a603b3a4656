/** The layout map of Llama 3: heads, intermediate units and the vocabulary over one mesh axis, hidden units over the other. */
import { type DeviceMesh, LayoutMap } from "@tessera/mesh";
import { layoutAxes, type LayoutAxisOptions } from "./layout_axes.ts";

/**
 * The layouts of Llama's variables on a mesh, with Keras's keys; the scales of norms are copied.
 *
 * Keras's own map for Llama is Gemma's, whose kernels begin with the heads; a Llama kernel is [hidden, heads, headDim], so there
 * the model axis splits what is summed over. Here it splits the heads, and the head of its own, which Keras leaves whole.
 *
 * @throws {RangeError} when the mesh lacks one of the two axes.
 */
export function llamaLayoutMap<Axis extends string>(
  mesh: DeviceMesh<Axis>,
  options: LayoutAxisOptions<NoInfer<Axis>> = {},
): LayoutMap<Axis> {
  const { model, batch } = layoutAxes("Llama", mesh, options);
  return new LayoutMap(mesh)
    .set("token_embedding/embeddings", [model, batch])
    // Only a model that does not tie its head to the embedding has these.
    .set("token_embedding/reverse_embeddings", [batch, model], { optional: true })
    .set("transformer_layer.*self_attention.*(query|key|value).kernel", [batch, model, null])
    .set("transformer_layer.*attention_output.kernel", [model, null, batch])
    .set("transformer_layer.*feedforward_intermediate_dense.kernel", [batch, model])
    .set("transformer_layer.*feedforward_gate_dense.kernel", [batch, model])
    .set("transformer_layer.*feedforward_output_dense.kernel", [model, batch])
    // Few models have biases. Those of what is summed over the model axis are copied.
    .set("transformer_layer.*self_attention.*(query|key|value).bias", [model, null], { optional: true })
    .set("transformer_layer.*feedforward_(intermediate|gate)_dense.bias", [model], { optional: true });
}
