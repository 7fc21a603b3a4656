/** Which engine runs each node of a compiled model. */

import { type Environment, outPointer } from "./environment.ts";

/** The configuration entry that makes a session remember which engine runs each node. */
export const recordAssignment = { "session.record_ep_graph_assignment_info": "1" } as const;

/** A node of a compiled model. */
interface AssignedNode {
  /** The name in the model, which is that of its first result. */
  readonly name: string;
  /** The engine that runs it, such as `CPUExecutionProvider`. */
  readonly provider: string;
}

/** The nodes of a session that was made with `recordAssignment`, as ONNX Runtime gave them to its engines. */
export function assignedNodes({ api }: Environment, session: bigint): AssignedNode[] {
  const [list, count, text] = [outPointer(), outPointer(), outPointer()];
  const handles = (): bigint[] => {
    if (count[0] === 0n) return [];
    const view = new Deno.UnsafePointerView(Deno.UnsafePointer.create(list[0]!)!);
    return Array.from({ length: Number(count[0]) }, (_, i) => view.getBigUint64(8 * i));
  };
  const string = () => Deno.UnsafePointerView.getCString(Deno.UnsafePointer.create(text[0]!)!);
  api.sessionGetEpGraphAssignmentInfo(session, list, count);
  return handles().flatMap((subgraph) => {
    api.epAssignedSubgraphGetEpName(subgraph, text);
    const provider = string();
    api.epAssignedSubgraphGetNodes(subgraph, list, count);
    return handles().map((node) => {
      api.epAssignedNodeGetName(node, text);
      return { name: string(), provider };
    });
  });
}
