/**
 * Variables, layers and the programs made of them.
 *
 * @module
 */
export { Variable } from "./variable.ts";
export type { Follows, VariableSpec } from "./variable.ts";
export { activation, assign, programVariable, traceProgram } from "./program.ts";
export type { Activation, TracedProgram } from "./program.ts";
export { compileProgram, donations } from "./compile_program.ts";
export type { Program } from "./compile_program.ts";
export {
  distributionOf,
  layoutOf,
  moveValue,
  putBlocks,
  putValue,
  putZeros,
  rowMultiple,
  storedSharding,
  whereOf,
} from "./placement.ts";
export type { Where } from "./placement.ts";
export { excessOf } from "./capacity.ts";
export { shardProgram } from "./shard_program.ts";
export { formatShardings } from "./sharding_table.ts";
export { modelVariables, Scope } from "./scope.ts";
export type { Registry } from "./scope.ts";
export { applyDense, contract, einsumDense, lookup } from "./dense.ts";
export type { Adapter, EinsumDense, EinsumDenseSpec } from "./dense.ts";
export { loadQuantized, quantizeVariables, setQuantized } from "./quantization.ts";
export type { QuantizationName, VariableQuantization } from "./quantization.ts";
export { dtypePolicy } from "./policy.ts";
export type { DTypePolicy, DTypePolicyName } from "./policy.ts";
export { heUniform, kaimingUniform, ones, randomNormal, randomUniform, zeros } from "./initializers.ts";
export type { Initializer } from "./initializers.ts";
export { disposeValues, initialize } from "./initialize.ts";
export { countParameters, formatSummary } from "./summary.ts";
export type { ParameterCounts } from "./summary.ts";
