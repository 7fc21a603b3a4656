/**
 * Tessera's compiler: dtypes, the graph, the op tables, tracing, gradients and passes.
 *
 * ```ts
 * import { evaluate, gradients, hostTensor, printGraph, trace } from "@tessera/core";
 *
 * const graph = trace("parabola", { x: { shape: [3], dtype: "float32" } }, ({ x }) => {
 *   const loss = x.mul(x).sum();
 *   const [slope] = gradients(loss, [x]);
 *   return { loss, slope: slope! };
 * });
 * console.log(printGraph(graph));
 * console.log(evaluate(graph, [hostTensor("float32", [3], new Float32Array([1, 2, 3]))]));
 * ```
 *
 * @module
 */
export * from "./values/dtype.ts";
export { contiguousRuns } from "./values/runs.ts";
export type { Runs } from "./values/runs.ts";
export { apply, emit, isDifferentiable, normalizeAxis, operand, Tensor, withOrigin } from "./graph/tensor.ts";
export type { Attrs, Graph, GraphNode, Returned, Trace } from "./graph/tensor.ts";
export { constant, full, graphInput, iota, trace, where } from "./graph/trace.ts";
export { gradients } from "./graph/gradient.ts";
export { pieceBounds, sumOverPieces } from "./graph/pieces.ts";
export type { Pieces } from "./graph/pieces.ts";
export { composites, isCollective, isComposite, isOpName, opOf, primitives } from "./ops/table.ts";
export type {
  AnyOp,
  CollectiveName,
  CompositeName,
  Composites,
  LocalOps,
  Lowering,
  OpName,
  Ops,
  PrimitiveName,
  Primitives,
  Rule,
} from "./ops/table.ts";
export type { Composite, CompositeTable, Each, NoAttrs, Op, OpTable, Signature, Vjp } from "./ops/op.ts";
export { collectives } from "./ops/collective.ts";
export type { Collective, CollectiveGroup } from "./ops/collective.ts";
export type { Creation } from "./ops/creation.ts";
export type { Elementwise } from "./ops/elementwise.ts";
export type { Indexing } from "./ops/indexing.ts";
export type { Movement } from "./ops/movement.ts";
export type { Reduction } from "./ops/reduction.ts";
export { parseFactors } from "./ops/factors.ts";
export type { AxisFactors, Factor, Factors } from "./ops/factors.ts";
export { einsum, parseEinsum } from "./ops/contraction.ts";
export type { Contraction, EinsumAttrs, EinsumSpec } from "./ops/contraction.ts";
export { concat, inversePermutation, isIdentity } from "./ops/movement.ts";
export { gelu, silu } from "./composites/activation.ts";
export { attention } from "./composites/attention.ts";
export type { AttentionAttrs, AttentionInputs, AttentionOptions } from "./composites/attention.ts";
export { crossEntropy } from "./composites/loss.ts";
export { layerNorm, rmsNorm, softmax } from "./composites/normalization.ts";
export { rotaryEmbedding } from "./composites/rotary.ts";
export { codesShape, dequantize, quantizedEinsum } from "./composites/quantization.ts";
export { type AdamWAttrs, type AdamWState, type AdamWStep, adamWUpdate } from "./composites/optimizer.ts";
export type { QuantizationBits } from "./composites/quantization.ts";
export { emptyRuns, quantizeRuns } from "./values/quantize.ts";
export type { QuantizedRuns } from "./values/quantize.ts";
export { decompose } from "./passes/decompose.ts";
export { eliminateDeadCode } from "./passes/dead_code.ts";
export { eliminateCommonSubexpressions } from "./passes/common_subexpressions.ts";
export { foldConstants } from "./passes/fold_constants.ts";
export { cancelTransposes } from "./passes/cancel_transposes.ts";
export { countOperations } from "./passes/cost.ts";
export { moveFactors } from "./passes/move_factors.ts";
export { legalize } from "./passes/legalize.ts";
export type { DTypeSupport } from "./passes/legalize.ts";
export { optimizations, optimize } from "./passes/optimize.ts";
export { rewrite } from "./passes/rewrite.ts";
export type { RewriteRule } from "./passes/rewrite.ts";
export { attrsKey } from "./graph/attrs.ts";
export { printGraph } from "./graph/print.ts";
export { verify } from "./graph/verify.ts";
export { evaluate, evaluateExactly, evaluateNode, fromElements, toElements } from "./reference/evaluate.ts";
export { foldIn, normal, randomKey, threefry, uniform } from "./values/random.ts";
export type { RandomKey } from "./values/random.ts";
