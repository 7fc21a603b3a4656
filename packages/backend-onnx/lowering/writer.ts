/**
 * Where lowering rules put ONNX nodes.
 *
 * Nodes are pure, so asking twice for the same node gives the same values; and nodes that no output needs are dropped
 * when the model is finished. Rules can therefore ask for whatever is simplest to say.
 */

import { sameShape, sizeOf } from "@tessera/core";
import type { ElementType } from "../ffi/element_type.ts";
import type { Attribute, Domain, Initializer, OnnxModel, OnnxNode, OnnxValue, Resident } from "../model/description.ts";
import { initializer } from "../model/initializer.ts";
import type { Substitutes } from "./target.ts";

/** The type of a value that a node computes. */
export interface ValueType {
  /** The element type. */
  readonly dtype: ElementType;
  /** The length of each axis. */
  readonly shape: readonly number[];
}

/** What a node has apart from its operator and its inputs. */
export interface NodeOptions {
  /** Attributes by name. */
  readonly attributes?: Readonly<Record<string, Attribute>>;
  /** The operator set; ONNX's own by default. */
  readonly domain?: Domain;
}

/** A model under construction. */
export interface Writer {
  /** Adds a node with one result. An input that is `null` is left out. */
  node(op: string, inputs: readonly (OnnxValue | null)[], type: ValueType, options?: NodeOptions): OnnxValue;
  /** Adds a node with several results. */
  nodes(
    op: string,
    inputs: readonly (OnnxValue | null)[],
    types: readonly ValueType[],
    options?: NodeOptions,
  ): OnnxValue[];
  /** A small constant. */
  constant(dtype: ElementType, shape: readonly number[], values: readonly number[]): OnnxValue;
  /** A list of int64, such as a shape or axes, as ONNX takes them. */
  list(values: readonly number[]): OnnxValue;
  /** The same elements in another shape. */
  reshape(x: OnnxValue, shape: readonly number[]): OnnxValue;
  /** The axes in another order. */
  transpose(x: OnnxValue, permutation: readonly number[]): OnnxValue;
  /** The elements in another dtype. */
  cast(x: OnnxValue, dtype: ElementType): OnnxValue;
  /** The elements repeated to a larger shape. */
  expand(x: OnnxValue, shape: readonly number[]): OnnxValue;
  /** What a value was repeated from, when `expand` made it; else the value. */
  unexpanded(x: OnnxValue): OnnxValue;
  /** A value of its own with the same elements. */
  copy(x: OnnxValue): OnnxValue;
  /** Tells whether a value is computed by a node, and so is neither an input nor a constant. */
  isComputed(x: OnnxValue): boolean;
  /**
   * The elements of an input as a constant of another shape, as kernels want it that lay out their weights anew; `null` when `x` is
   * no input that is known when the model is compiled.
   */
  resident(x: OnnxValue, shape: readonly number[]): OnnxValue | null;
  /** A float32 constant of ones that the model does not store. */
  ones(shape: readonly number[]): OnnxValue;
  /** The model that computes `outputs`. */
  finish(name: string, inputs: readonly OnnxValue[], outputs: readonly OnnxValue[]): OnnxModel;
}

/**
 * Starts a model; `castTo` is ONNX's number of each element type, `residents` are the names of inputs that are known when the model
 * is compiled, and `substitutes` write nodes for which there is no kernel as others.
 */
export function newWriter(
  castTo: Readonly<Record<ElementType, number>>,
  residents: ReadonlySet<string> = new Set(),
  substitutes: Substitutes = {},
): Writer {
  const bound = new Map<string, Resident>();
  const written: OnnxNode[] = [];
  const initializers = new Map<string, Initializer>();
  const known = new Map<string, readonly OnnxValue[]>();
  // What a value was repeated from, and what it was reshaped from.
  const sources = new Map<OnnxValue, OnnxValue>();
  const origins = new Map<OnnxValue, OnnxValue>();
  const computed = new Set<OnnxValue>();

  /** A value with a name that nothing else has: inputs are named by their user, constants with a "$". */
  function fresh({ dtype, shape }: ValueType): OnnxValue {
    const value = { name: `%${computed.size}`, dtype, shape };
    computed.add(value);
    return value;
  }

  function bind(value: Resident): OnnxValue {
    const known = bound.get(value.name) ?? value;
    bound.set(value.name, known);
    return known;
  }

  function nodes(
    op: string,
    inputs: readonly (OnnxValue | null)[],
    types: readonly ValueType[],
    { attributes = {}, domain = "" }: NodeOptions = {},
  ): OnnxValue[] {
    const names = inputs.map((input) => input?.name ?? "");
    const key = JSON.stringify([op, names, attributes]);
    const before = known.get(key);
    if (before !== undefined) return [...before];
    const [type] = types;
    const substitute = Object.hasOwn(substitutes, op)
      ? substitutes[op]!(writer, { inputs, type: type!, attributes })
      : null;
    if (substitute !== null) return [substitute];
    const outputs = types.map(fresh);
    written.push({ op, domain, inputs: names, outputs, attributes });
    known.set(key, outputs);
    return outputs;
  }

  const writer: Writer = {
    nodes,
    node: (op, inputs, type, options) => nodes(op, inputs, [type], options)[0]!,
    constant(dtype, shape, values) {
      const made = initializer(`$${initializers.size}`, dtype, shape, values);
      // Numbers that round to the same elements are the same constant.
      const key = `${dtype}[${shape}]=${made.bytes}`;
      const before = initializers.get(key);
      if (before !== undefined) return before;
      initializers.set(key, made);
      return made;
    },
    list: (values) => writer.constant("int64", [values.length], values),
    reshape(x, shape) {
      const from = origins.get(x) ?? x;
      if (sameShape(from.shape, shape)) return from;
      const attributes = shape.includes(0) ? { allowzero: 1 } : {};
      const reshaped = writer.node("Reshape", [from, writer.list(shape)], { dtype: x.dtype, shape }, { attributes });
      origins.set(reshaped, from);
      return reshaped;
    },
    transpose(x, permutation) {
      const moved = permutation.filter((axis) => x.shape[axis] !== 1);
      const shape = permutation.map((axis) => x.shape[axis]!);
      // Moving axes of length one moves no element.
      if (moved.every((axis, i) => i === 0 || moved[i - 1]! < axis)) return writer.reshape(x, shape);
      return writer.node("Transpose", [x], { dtype: x.dtype, shape }, { attributes: { perm: permutation } });
    },
    cast(x, dtype) {
      if (x.dtype === dtype) return x;
      return writer.node("Cast", [x], { dtype, shape: x.shape }, { attributes: { to: castTo[dtype] } });
    },
    expand(x, shape) {
      if (sameShape(x.shape, shape)) return x;
      if (sizeOf(x.shape) === sizeOf(shape)) return writer.reshape(x, shape);
      // ONNX Runtime does not broadcast 16-bit floats, so those are broadcast as float32.
      const half = x.dtype === "bfloat16" || x.dtype === "float16";
      const wide = half ? writer.cast(x, "float32") : x;
      const copies = writer.node("Expand", [wide, writer.list(shape)], { dtype: wide.dtype, shape });
      const repeated = half ? writer.cast(copies, x.dtype) : copies;
      sources.set(repeated, x);
      return repeated;
    },
    copy(x) {
      const value = fresh(x);
      written.push({ op: "Identity", domain: "", inputs: [x.name], outputs: [value], attributes: {} });
      return value;
    },
    isComputed: (x) => computed.has(x),
    unexpanded: (x) => sources.get(x) ?? x,
    resident(x, shape) {
      if (computed.has(x) || !residents.has(x.name)) return null;
      return bind({ name: `${x.name}:${shape.join("x")}`, dtype: x.dtype, shape, input: x.name });
    },
    ones: (shape) => bind({ name: `$ones:${shape.join("x")}`, dtype: "float32", shape, input: null }),
    finish(name, inputs, outputs) {
      const kept = leavesLast(liveNodes(written, outputs));
      const read = new Set(kept.flatMap((node) => node.inputs));
      const used = [...initializers.values()].filter((tensor) => read.has(tensor.name));
      const supplied = [...bound.values()].filter((value) => read.has(value.name));
      const model = { name, inputs, outputs, nodes: kept, initializers: used };
      return supplied.length === 0 ? model : { ...model, residents: supplied };
    },
  };
  return writer;
}

/** How many times smaller than the largest value all is that a number is worked out from, so that it may wait. */
const fewBytes = 256;

/**
 * The nodes with those that no other node reads at the end, in the order in which ONNX Runtime is to reach them: the first one last.
 *
 * ONNX Runtime walks back from the nodes that nothing reads, the last of them first, and runs what each needs. What takes the
 * least runs first, so that the arrays that it was the last to read can be overwritten or freed soon. But a number that is worked
 * out from little at the end, such as the loss from the losses of tokens, runs after the rest: else all that these are made of
 * would run for it first, and be kept for the gradients.
 */
function leavesLast(nodes: readonly OnnxNode[]): OnnxNode[] {
  const producers = new Map(nodes.flatMap((node) => node.outputs.map((value) => [value.name, node] as const)));
  const read = new Set(nodes.flatMap((node) => node.inputs));
  const isLeaf = (node: OnnxNode) => node.outputs.every((value) => !read.has(value.name));
  const needsOf = (leaf: OnnxNode) => {
    const found = new Set([leaf]);
    // Entries that are added while a set is walked are walked too.
    for (const node of found) {
      for (const name of node.inputs) {
        const producer = producers.get(name);
        if (producer !== undefined) found.add(producer);
      }
    }
    return found;
  };
  const leaves = nodes.filter(isLeaf).map((node) => ({ node, needs: needsOf(node) }));
  const readers = new Map<OnnxNode, number>();
  for (const { needs } of leaves) for (const node of needs) readers.set(node, (readers.get(node) ?? 0) + 1);
  const sizes = new Map(
    nodes.flatMap(({ outputs }) => outputs.map(({ name, shape }) => [name, sizeOf(shape)] as const)),
  );
  const largest = Math.max(0, ...sizes.values());
  const mayWait = ({ node, needs }: { readonly node: OnnxNode; readonly needs: ReadonlySet<OnnxNode> }) => {
    if (node.outputs.some(({ shape }) => sizeOf(shape) > 1)) return false;
    const own = [...needs].filter((other) => readers.get(other) === 1);
    const shared = new Set(
      own.flatMap(({ inputs }) => inputs).filter((name) => readers.get(producers.get(name)!)! > 1),
    );
    return [...shared].reduce((sum, name) => sum + sizes.get(name)!, 0) * fewBytes <= largest;
  };
  const waiting = new Set(leaves.filter(mayWait));
  const inOrder = (group: readonly (typeof leaves)[number][]) => group.toSorted((a, b) => b.needs.size - a.needs.size);
  const ordered = [...inOrder([...waiting]).toReversed(), ...inOrder(leaves.filter((leaf) => !waiting.has(leaf)))];
  return [...nodes.filter((node) => !isLeaf(node)), ...ordered.map(({ node }) => node)];
}

/** The nodes that an output depends on. */
function liveNodes(nodes: readonly OnnxNode[], outputs: readonly OnnxValue[]): OnnxNode[] {
  const live = new Set(outputs.map((value) => value.name));
  const kept: OnnxNode[] = [];
  for (const node of nodes.toReversed()) {
    if (!node.outputs.some((value) => live.has(value.name))) continue;
    node.inputs.forEach((name) => live.add(name));
    kept.push(node);
  }
  return kept.reverse();
}
