/** The kernels that a graph is lowered to. */

import type { DTypeSupport, Lowering } from "@tessera/core";
import type { OnnxNode, OnnxValue } from "../model/description.ts";
import type { Writer } from "./writer.ts";

/** What a kind of device has kernels for. */
export interface Target {
  /** What it computes in, and which ops it runs on other dtypes too. */
  readonly support: DTypeSupport;
  /** The nodes for each op. */
  readonly rules: Lowering<Writer, OnnxValue>;
  /** Nodes that it has no kernel or only a slow kernel for, written as others. */
  readonly substitutes: Substitutes;
}

/** By the name of an operator: writes a node of it as others, or says `null` where the node is fine as it is. */
export type Substitutes = Readonly<Record<string, (writer: Writer, node: NodeToWrite) => OnnxValue | null>>;

/** A node with one result that a rule asks for. */
export interface NodeToWrite {
  /** What it reads; `null` stands for an absent input. */
  readonly inputs: readonly (OnnxValue | null)[];
  /** The type of its result. */
  readonly type: Pick<OnnxValue, "dtype" | "shape">;
  /** Its attributes by name. */
  readonly attributes: OnnxNode["attributes"];
}
