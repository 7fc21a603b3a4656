/** The kernels that a model needs: its operators with the types that they are for. */

import { emit, type Graph, trace } from "@tessera/core";
import { allSamples, sampleOperands } from "@tessera/core/testing";
import type { OnnxModel } from "../model/description.ts";

/** One line per node, such as `Add(float32,float32)->float32`, in the order of the nodes. */
export function signaturesOf({ inputs, residents = [], initializers, nodes }: OnnxModel): string[] {
  const values = [...inputs, ...residents, ...initializers, ...nodes.flatMap(({ outputs }) => outputs)];
  const dtypes = new Map(values.map(({ name, dtype }) => [name, dtype]));
  return nodes.map((node) =>
    `${node.op}(${node.inputs.map((name) => dtypes.get(name) ?? "")})->${node.outputs.map(({ dtype }) => dtype)}`
  );
}

/** Every sample of every op as a graph. */
export function sampleGraphs(): Graph[] {
  return allSamples().map(({ op, sample }) => {
    const operands = Object.fromEntries(sampleOperands(sample, 7).map((tensor, i) => [`x${i}`, tensor]));
    return trace(op, operands, (symbols) => {
      const results = emit(op, Object.values(symbols), sample.attrs as Record<string, unknown>);
      return Object.fromEntries(results.map((result, i) => [`y${i}`, result]));
    });
  });
}
