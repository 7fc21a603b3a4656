/** The shape of a family's part of the lowering table. */

import type { GraphNode, OpName, Rule, TensorType } from "@tessera/core";
import type { OnnxValue } from "../model/description.ts";
import type { Writer } from "./writer.ts";

/** One rule per op of a family. */
export type FamilyLowering<Names extends OpName> = { readonly [K in Names]: Rule<K, Writer, OnnxValue> };

/** The type of a node's first result. */
export function resultType(node: GraphNode): TensorType {
  return node.results[0]!.type;
}
