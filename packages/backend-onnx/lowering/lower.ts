/** From a graph to an ONNX model. */

import {
  decompose,
  type DType,
  type DTypeSupport,
  type Graph,
  type GraphNode,
  isCollective,
  legalize,
  type OpName,
  optimizations,
  type Tensor,
} from "@tessera/core";
import { elementTypes } from "../ffi/element_type.ts";
import type { OnnxModel, OnnxValue } from "../model/description.ts";
import { gemmInParts } from "./parts.ts";
import { onnxLowering } from "./table.ts";
import type { Target } from "./target.ts";
import { newWriter, type Writer } from "./writer.ts";

/** What ONNX Runtime's CPU kernels compute in, and which ops they run on other dtypes too. */
export const cpuSupport: DTypeSupport = {
  computes: new Set<DType>(["float32", "int32", "bool"]),
  moves: new Set<OpName>(["reshape", "transpose", "slice", "concat", "gather", "takeAlongAxis", "updateSlice"]),
};

/** ONNX Runtime on the processor, which has kernels for all nodes that the rules write, but faster ones for some nodes written as others. */
export const cpuTarget: Target = {
  support: cpuSupport,
  rules: onnxLowering,
  substitutes: Deno.build.arch === "x86_64" ? { Gemm: gemmInParts } : {},
};

/** A model, and how its inputs and outputs correspond to the graph's: by position. */
export interface Lowered {
  /** The model. Its inputs are all inputs of the graph, in order; its outputs likewise. */
  readonly model: OnnxModel;
  /** The names of its inputs. */
  readonly inputNames: readonly string[];
  /** The names of its outputs. */
  readonly outputNames: readonly string[];
}

type AnyRule = (
  writer: Writer,
  operands: readonly OnnxValue[],
  attrs: unknown,
  node: GraphNode,
) => readonly OnnxValue[];

/** The passes of `prepare`, in order, for callers that do other work in between. */
export function preparations({ support, rules }: Omit<Target, "substitutes">): readonly ((graph: Graph) => Graph)[] {
  return [
    (graph) => decompose(graph, (op) => rules[op] !== "decompose"),
    (graph) => legalize(graph, support),
    ...optimizations,
  ];
}

/** A graph in the form that the lowering table takes: few composites, only supported dtypes, nothing superfluous. */
export function prepare(graph: Graph, support: DTypeSupport, rules = onnxLowering): Graph {
  return preparations({ support, rules }).reduce((current, pass) => pass(current), graph);
}

/** The ONNX model of a graph that went through `prepare`; `residents` are the inputs that are known when it is compiled. */
export function lower(
  graph: Graph,
  residents: Iterable<number> = [],
  { rules, substitutes }: Target = cpuTarget,
): Lowered {
  const known = new Set([...residents].map((input) => graph.inputNames[input]!));
  const writer = newWriter(elementTypes, known, substitutes);
  const values = new Map<Tensor, OnnxValue>();
  const inputs = graph.inputs.map((tensor, i) => {
    const value = { name: graph.inputNames[i]!, dtype: tensor.dtype, shape: tensor.shape };
    values.set(tensor, value);
    return value;
  });
  for (const node of graph.nodes) {
    if (isCollective(node.op)) throw new TypeError(`Cannot lower "${node.op}": an executor runs it between two models`);
    const rule = rules[node.op] as AnyRule;
    const results = rule(writer, node.operands.map((operand) => values.get(operand)!), node.attrs, node);
    node.results.forEach((result, i) => values.set(result, results[i]!));
  }
  const outputs = distinctOutputs(writer, inputs, graph.outputs.map((tensor) => values.get(tensor)!));
  return {
    model: writer.finish(graph.name, inputs, outputs),
    inputNames: graph.inputNames,
    outputNames: outputs.map((value) => value.name),
  };
}

/** Outputs of a model must be computed by nodes and have names of their own, so others are copied. */
function distinctOutputs(writer: Writer, inputs: readonly OnnxValue[], outputs: readonly OnnxValue[]): OnnxValue[] {
  const taken = new Set(inputs);
  return outputs.map((value) => {
    if (taken.has(value) || !writer.isComputed(value)) return writer.copy(value);
    taken.add(value);
    return value;
  });
}
