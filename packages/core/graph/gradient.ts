/**
 * Reverse-mode automatic differentiation of a graph, graph in and graph out.
 *
 * The trace is walked backwards once; each node's gradient rule appends the nodes that turn cotangents of its results
 * into cotangents of its operands. Only nodes that depend on a tensor of `wrt` are visited, so the backward
 * pass goes no deeper than the lowest trainable variable.
 */
import { formatType, isFloat } from "../values/dtype.ts";
import { opOf } from "../ops/table.ts";
import { currentNodes, type GraphNode, type Tensor, withOrigin } from "./tensor.ts";
import { full } from "./trace.ts";

/**
 * The gradients of a scalar with respect to other tensors of the same trace, in their order; zeros where the scalar does
 * not depend on one.
 *
 * @throws {TypeError} when the loss is not a floating-point scalar, or when it depends on an op without a gradient.
 */
export function gradients(loss: Tensor, wrt: readonly Tensor[]): Tensor[] {
  if (loss.rank !== 0 || !isFloat(loss.dtype)) {
    throw new TypeError(`Cannot differentiate ${formatType(loss.type)}: the loss must be a floating-point scalar`);
  }
  const found = backward([...currentNodes()], new Map([[loss, full([], 1, loss.dtype)]]), wrt);
  return found.map((gradient, i) => gradient ?? full(wrt[i]!.shape, 0, wrt[i]!.dtype));
}

/** Gradients that were computed together with their scalar, by the node that computes the scalar. */
const known = new WeakMap<GraphNode, ReadonlyMap<Tensor, Tensor>>();

/**
 * Makes `gradients` use the given gradients of a scalar, keyed by tensor, instead of differentiating the nodes that
 * computed it. Returns the scalar.
 */
export function withGradients(scalar: Tensor, found: ReadonlyMap<Tensor, Tensor>): Tensor {
  known.set(scalar.producer!, found);
  return scalar;
}

/** Cotangents of `wrt`, given cotangents of later values; `null` where none arrives. */
export function backward(
  nodes: readonly GraphNode[],
  cotangents: Map<Tensor, Tensor>,
  wrt: readonly Tensor[],
): (Tensor | null)[] {
  const active = new Set<Tensor>(wrt);
  const path = nodes.filter((node) => {
    if (!node.operands.some((operand) => active.has(operand))) return false;
    node.results.forEach((result) => active.add(result));
    return true;
  });
  for (const node of path.toReversed()) {
    if (!node.results.some((result) => cotangents.has(result))) continue;
    const cts = node.results.map((result) => cotangents.get(result) ?? full(result.shape, 0, result.dtype));
    withOrigin(node.origin, () => arrivals(node, cts, active)).forEach(([operand, ct]) => {
      if (ct === null || !active.has(operand)) return;
      const before = cotangents.get(operand);
      cotangents.set(operand, before === undefined ? ct : before.add(ct));
    });
  }
  return wrt.map((tensor) => cotangents.get(tensor) ?? null);
}

/** The cotangents that a node passes to earlier values: to its operands, or to the tensors whose gradients are known. */
function arrivals(
  node: GraphNode,
  cts: readonly Tensor[],
  active: ReadonlySet<Tensor>,
): readonly (readonly [Tensor, Tensor | null])[] {
  const found = known.get(node);
  if (found === undefined) return vjpOf(node, cts, active).map((ct, i) => [node.operands[i]!, ct]);
  const ct = cts[0]!.cast("float32");
  return [...found].filter(([tensor]) => active.has(tensor))
    .map(([tensor, slope]) => [tensor, slope.cast("float32").mul(ct).cast(tensor.dtype)]);
}

function vjpOf(node: GraphNode, cts: readonly Tensor[], active: ReadonlySet<Tensor>): readonly (Tensor | null)[] {
  const row = opOf(node.op);
  // Integer and boolean results carry no gradient, so an op that only feeds those is a constant here.
  if (node.results.every((result) => !isFloat(result.dtype))) return node.operands.map(() => null);
  if (row.vjp === null) {
    throw new TypeError(`Cannot differentiate "${node.op}": it has no gradient`, { cause: node.origin });
  }
  if (row.vjp !== "decompose") return row.vjp(cts, node.operands, node.attrs, node.results);
  // Differentiate the definition: trace it here, then walk back over just those nodes.
  const nodes = currentNodes();
  const start = nodes.length;
  const results = row.decompose!(node.operands, node.attrs);
  // An operand that appears twice gets its whole cotangent at its first position.
  const wanted = [...new Set(node.operands)].filter((operand) => active.has(operand));
  const found = backward(nodes.slice(start), new Map(results.map((result, i) => [result, cts[i]!])), wanted);
  return node.operands.map((operand, i) =>
    node.operands.indexOf(operand) === i ? found[wanted.indexOf(operand)] ?? null : null
  );
}
