/** The shape of a family's part of the lowering table. */

import type { GraphNode, OpName, Rule, TensorType } from "@tessera/core";
import type { Value } from "../engine/engine.ts";
import type { Workspace } from "./workspace.ts";

/** One rule per op of a family. */
export type FamilyLowering<Names extends OpName> = { readonly [K in Names]: Rule<K, Workspace, Value> };

/** The type of a node's first result. */
export function resultType(node: GraphNode): TensorType {
  return node.results[0]!.type;
}
