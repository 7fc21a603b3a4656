/** Folding adapters into the kernels that they adapt. */
import { assign, compileProgram, traceProgram } from "@tessera/nn";
import type { Backend } from "@tessera/runtime";
import { type Adaptable, loraAdapters, unloadLora } from "./enable.ts";

/**
 * Adds each adapter's update to its kernel, one kernel at a time, and takes the adapters off. The model computes what it did
 * with them, up to rounding to the kernels' dtype.
 *
 * @throws {Error} when the model has no adapters.
 * @throws {TypeError} when a kernel or a factor has no value, or a kernel is quantized.
 */
export async function mergeLora(model: Adaptable, backend: Backend): Promise<void> {
  const adapters = loraAdapters(model);
  if (adapters.length === 0) {
    throw new Error(`Cannot merge LoRA into "${model.name}": it has no adapters; enable or load them first`);
  }
  // Checked first, because a kernel that has been merged must not be merged again.
  for (const variable of adapters.flatMap(({ layer, adapter }) => [layer.kernel, ...adapter.variables])) {
    if (variable.value === null) {
      throw new TypeError(
        `Cannot merge LoRA into "${model.name}": ${variable} has no value; load or initialize it first`,
      );
    }
  }
  const quantized = adapters.find(({ layer }) => layer.kernel.quantization !== null)?.layer;
  if (quantized !== undefined) {
    throw new TypeError(
      `Cannot merge LoRA into "${model.name}": "${quantized.path}/kernel" is stored as ` +
        `${
          quantized.kernel.quantization!.name
        }, which would round the update away; save the adapter, load the model without ` +
        "quantize, and load and merge the adapter there",
    );
  }
  for (const { layer: { kernel, path }, adapter } of adapters) {
    const traced = traceProgram(`merge ${path}`, {}, () => {
      // The kernel is stored in another axis order than its logical one.
      const delta = adapter.delta().transpose(kernel.order);
      assign(kernel, kernel.raw().cast("float32").add(delta).cast(kernel.dtype));
      return {};
    });
    const program = await compileProgram(traced, backend, kernel.value?.device);
    try {
      await program.run({});
    } finally {
      program.dispose();
    }
  }
  unloadLora(model);
}
