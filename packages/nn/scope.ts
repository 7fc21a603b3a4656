/** Names for variables and layers while a model is built: scopes nest as paths do. */
import type { EinsumDense } from "./dense.ts";
import { Variable, type VariableSpec } from "./variable.ts";

/** What has been built so far, shared by all scopes of a model. */
export interface Registry {
  /** The variables, in the order in which they were made. */
  readonly variables: Variable[];
  /** The layers that an adapter can be attached to. */
  readonly denses: EinsumDense[];
  /** The paths of the variables. */
  readonly paths: Set<string>;
}

/** A place in the tree of paths, where variables and layers are made. */
export class Scope {
  /** The path of the scope; empty at the root. */
  readonly path: string;
  /** What has been built so far. */
  readonly registry: Registry;

  /** Makes the root scope, or, given a path and a registry, an inner one. */
  constructor(path = "", registry: Registry = { variables: [], denses: [], paths: new Set() }) {
    this.path = path;
    this.registry = registry;
  }

  /** The path of something in this scope. */
  pathOf(name: string): string {
    return this.path === "" ? name : `${this.path}/${name}`;
  }

  /** An inner scope. */
  scope(name: string): Scope {
    return new Scope(this.pathOf(name), this.registry);
  }

  /**
   * Makes a variable in this scope.
   *
   * @throws {TypeError} when there is one of that path already.
   */
  variable(name: string, spec: VariableSpec): Variable {
    const variable = new Variable(this.pathOf(name), spec);
    if (this.registry.paths.has(variable.path)) {
      throw new TypeError(`Cannot make variable "${variable.path}": there is one of that path already`);
    }
    this.registry.paths.add(variable.path);
    this.registry.variables.push(variable);
    return variable;
  }
}

/** The variables of a model as it stands: each kernel is followed by the variables of the adapter on its layer. */
export function modelVariables({ variables, denses }: Registry): Variable[] {
  const adapters = new Map(denses.map(({ kernel, adapter }) => [kernel, adapter]));
  return variables.flatMap((variable) => [variable, ...(adapters.get(variable)?.variables ?? [])]);
}
