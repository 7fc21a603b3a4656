/**
 * Where an architecture's variables are born. Each is declared once, with its path in Keras, its tensor in checkpoints, its shape
 * and where it lies on a mesh; the conversion, the layout map and the names of PEFT's modules follow from what was declared.
 */
import { type FloatDType, parseEinsum } from "@tessera/core";
import type { TensorPart, TensorRow } from "@tessera/convert";
import {
  type DTypePolicy,
  type EinsumDense,
  einsumDense,
  type Initializer,
  ones,
  randomNormal,
  Scope,
  type Variable,
  type VariableSpec,
} from "@tessera/nn";

/** What a published layout splits an axis over: the mesh axis of models, that of batches, or none. */
export type AxisRole = "model" | "batch" | null;

/** Where the variables of one kind lie on a mesh. */
export interface LayoutRule {
  /** Per logical axis, what it is sharded over. */
  readonly roles: readonly AxisRole[];
  /** Whether a model has such variables; biases that a config leaves out have a rule all the same. */
  isUsed: boolean;
}

/** What was declared so far, shared by all scopes of a model. */
export interface Declarations {
  /** Each variable's tensor in a checkpoint. */
  readonly rows: TensorRow[];
  /** Tensors that a checkpoint may hold a second time: the copy's name, and the tensor's own. */
  readonly copies: Record<string, string>;
  /** Tensors that a checkpoint may hold and that nothing reads. */
  readonly ignored: RegExp[];
  /** The layouts of variables by regular expressions for their paths. */
  readonly layouts: Map<string, LayoutRule>;
  /** The paths of the decoder blocks, in order. */
  readonly blocks: string[];
  /** The variables that may be stored in fewer bits. */
  readonly quantizable: Set<Variable>;
}

/** A variable, beside what `VariableSpec` says of it. */
export interface DeclaredVariable extends Omit<VariableSpec, "dtype"> {
  /** Per logical axis, what it is sharded over on a mesh; replicated unless given. */
  readonly layout?: readonly AxisRole[];
  /** How many stored axes each axis of the tensor merges; one each unless given. */
  readonly merge?: readonly number[];
}

/** A dense layer. */
export interface DeclaredDense {
  /** The product of input and kernel, such as `"btd,ndh->btnh"`. */
  readonly equation: string;
  /** The logical shape of the kernel, in the order of the equation's letters. */
  readonly shape: readonly number[];
  /** Per logical axis of the kernel, what it is sharded over on a mesh. */
  readonly layout: readonly AxisRole[];
  /** Whether a bias is added; left out where no model of the architecture has one. */
  readonly bias?: boolean;
  /** How values are made when no checkpoint gives them; by the number of inputs unless given. */
  readonly initializer?: Initializer;
}

interface Place {
  readonly scope: Scope;
  /** The modules of checkpoints that names of tensors are relative to, with a dot at the end; empty at the root. */
  readonly module: string;
  /** A regular expression for the path. */
  readonly pattern: string;
  readonly isQuantizable: boolean;
}

/** A place in the tree of paths and modules, where variables and layers are declared. */
export class ModelScope {
  /** What the model's weights are stored and computed in. */
  readonly policy: DTypePolicy;
  /** What was declared so far. */
  readonly declared: Declarations;
  readonly #place: Place;

  /** Makes the root scope, or, given a place, an inner one. */
  constructor(policy: DTypePolicy, declared: Declarations = noDeclarations(), place?: Place) {
    this.policy = policy;
    this.declared = declared;
    this.#place = place ?? { scope: new Scope(), module: "", pattern: "", isQuantizable: true };
  }

  /** The path; empty at the root. */
  get path(): string {
    return this.#place.scope.path;
  }

  /** The dtype of activations. */
  get compute(): FloatDType {
    return this.policy.compute;
  }

  /** Everything made so far, adapters left out. */
  get registry(): Scope["registry"] {
    return this.#place.scope.registry;
  }

  /** An inner scope, whose tensors are those of a module; those of this scope's module unless given. */
  scope(name: string, module?: string): ModelScope {
    return this.#inner(name, name, module);
  }

  /** The same scope for what is never stored in fewer bits. */
  unquantized(): ModelScope {
    return new ModelScope(this.policy, this.declared, { ...this.#place, isQuantizable: false });
  }

  /** Numbered scopes, such as `encoder_block_0`, one per layer of a checkpoint's list of modules. */
  layers<T>(name: string, module: string, count: number, make: (layer: ModelScope, index: number) => T): T[] {
    return Array.from(
      { length: count },
      (_, i) => make(this.#inner(`${name}_${i}`, `${name}_\\d+`, `${module}.${i}`), i),
    );
  }

  /** The decoder blocks, such as `decoder_block_0`, one per layer of a checkpoint's list of modules. */
  blocks<T>(name: string, module: string, count: number, make: (block: ModelScope, index: number) => T): T[] {
    return this.layers(name, module, count, (block, i) => {
      this.declared.blocks.push(block.path);
      return make(block, i);
    });
  }

  /** Declares a variable by its name and its tensor's, both relative to this scope. */
  variable(name: string, tensor: string, spec: DeclaredVariable): Variable {
    const { layout = [], merge, ...rest } = spec;
    const variable = this.#place.scope.variable(name, { ...rest, dtype: this.policy.variable });
    this.#row(tensor, variable, { merge });
    this.#layOut(name, layout, true);
    if (this.#place.isQuantizable) this.declared.quantizable.add(variable);
    return variable;
  }

  /** Declares the scale of a norm: `<name>/scale`, from `<module>.weight`; ones unless an initializer is given. */
  norm(name: string, module: string, size: number, initializer: Initializer = ones()): Variable {
    return this.variable(`${name}/scale`, `${module}.weight`, { shape: [size], initializer });
  }

  /**
   * Declares a dense layer: `<name>/kernel` from `<module>.weight`, stored as checkpoints have it, outputs first, and `<name>/bias`.
   * In the file all output axes are one, and all input axes.
   */
  dense(name: string, module: string, spec: DeclaredDense): EinsumDense {
    return this.#dense(name, module, spec);
  }

  /**
   * Declares dense layers that are one tensor of checkpoints, their outputs one below the other in the given order. Each is a layer
   * by itself, so that a mesh splits each by its own heads or units; to PEFT they are one module.
   */
  fused<Name extends string>(
    module: string,
    layers: Readonly<Record<Name, DeclaredDense>>,
  ): Readonly<Record<Name, EinsumDense>> {
    const specs = Object.entries<DeclaredDense>(layers);
    const sizes = specs.map(([, spec]) => lengthOf(spec, axesOf(spec).outputs));
    const of = sizes.reduce((sum, size) => sum + size, 0);
    let end = 0;
    const made = specs.map(([name, spec], i) => {
      const part = { rows: [end, end += sizes[i]!], of } as const;
      return [name, this.#dense(name, module, spec, part)];
    });
    return Object.fromEntries(made);
  }

  #dense(name: string, module: string, spec: DeclaredDense, part?: TensorPart): EinsumDense {
    const { equation, shape, layout, bias } = spec;
    const { outputs, inputs } = axesOf(spec);
    const fanIn = lengthOf(spec, inputs);
    const initializer = spec.initializer ?? randomNormal(fanIn ** -0.5);
    const order = [...outputs, ...inputs];
    const axes = [...parseEinsum(equation).b].map((letter) => counted[letter]);
    const layer = einsumDense(this.#place.scope, name, {
      equation,
      shape,
      order,
      ...(axes.every((axis) => axis !== undefined) ? { axes } : {}),
      dtype: this.policy.variable,
      initializer,
      bias: bias ?? false,
      ...(part === undefined ? {} : { fused: module.slice(module.lastIndexOf(".") + 1) }),
    });
    this.#row(`${module}.weight`, layer.kernel, { merge: [outputs.length, inputs.length], part });
    this.#layOut(`${name}/kernel`, layout, true);
    if (this.#place.isQuantizable) this.declared.quantizable.add(layer.kernel);
    // Outputs that are sharded over the batch axis come together again before a bias is added.
    const biasLayout = outputs.map((axis) => layout[axis] === "model" ? "model" as const : null);
    if (bias !== undefined) this.#layOut(`${name}/bias`, biasLayout, bias);
    if (layer.bias !== null) this.#row(`${module}.bias`, layer.bias, { merge: [outputs.length], part });
    return layer;
  }

  /** Says that a checkpoint may hold a variable's tensor a second time, as a head that is the embedding. */
  copy(tensor: string, variable: Variable): void {
    this.declared.copies[tensor] = this.declared.rows.find((row) => row.variable === variable.path)!.tensor;
  }

  /** Says that a checkpoint may hold a module of this scope that nothing reads, as that of an older version of the architecture. */
  ignore(module: string): void {
    this.declared.ignored.push(new RegExp(`^${`${this.#place.module}${module}.`.replaceAll(".", "\\.")}`));
  }

  #row(
    tensor: string,
    variable: Variable,
    how: { merge?: readonly number[] | undefined; part?: TensorPart | undefined },
  ) {
    const { merge, part } = how;
    this.declared.rows.push({
      variable: variable.path,
      tensor: this.#place.module + tensor,
      ...(merge === undefined ? {} : { merge }),
      ...(part === undefined ? {} : { part }),
    });
  }

  #layOut(name: string, roles: readonly AxisRole[], isUsed: boolean): void {
    if (roles.every((role) => role === null)) return;
    const { layouts } = this.declared;
    const pattern = joined(this.#place.pattern, name);
    const known = layouts.get(pattern);
    if (known === undefined) layouts.set(pattern, { roles, isUsed });
    else if (known.roles.join() === roles.join()) known.isUsed ||= isUsed;
    else throw new TypeError(`Cannot lay "${pattern}" out as [${roles}]: it is laid out as [${known.roles}] elsewhere`);
  }

  #inner(name: string, pattern: string, module?: string): ModelScope {
    const { scope, module: own, isQuantizable } = this.#place;
    return new ModelScope(this.policy, this.declared, {
      scope: scope.scope(name),
      module: module === undefined ? own : `${own}${module}.`,
      pattern: joined(this.#place.pattern, pattern),
      isQuantizable,
    });
  }
}

/** What the letters of equations count, in messages and where key/value heads are too few for a mesh. */
const counted: Readonly<Record<string, string>> = {
  d: "hidden units",
  f: "intermediate units",
  h: "head units",
  k: "heads",
  n: "heads",
};

/** The logical axes of a kernel that its product keeps, and those that it sums over. */
function axesOf(
  { equation }: DeclaredDense,
): { readonly outputs: readonly number[]; readonly inputs: readonly number[] } {
  const { b: letters, out } = parseEinsum(equation);
  const axes = [...letters].map((letter, axis) => ({ axis, isOutput: out.includes(letter) }));
  const [outputs, inputs] = [true, false].map((isOutput) =>
    axes.filter((found) => found.isOutput === isOutput).map(({ axis }) => axis)
  ) as [number[], number[]];
  return { outputs, inputs };
}

/** The product of some axes' lengths. */
function lengthOf({ shape }: DeclaredDense, axes: readonly number[]): number {
  return axes.reduce((product, axis) => product * shape[axis]!, 1);
}

function joined(path: string, name: string): string {
  return path === "" ? name : `${path}/${name}`;
}

function noDeclarations(): Declarations {
  return { rows: [], copies: {}, ignored: [], layouts: new Map(), blocks: [], quantizable: new Set() };
}
