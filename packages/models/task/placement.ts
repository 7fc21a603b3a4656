/** Where a task lies: it follows the distribution that it was given, or the one that is set when it is used. */
import { type Distribution, distribution } from "@tessera/mesh";
import { formatShardings, type Variable } from "@tessera/nn";
import type { Backend } from "@tessera/runtime";
import { type Optimizer, type TrainableModel, trainableVariables } from "@tessera/train";
import { distribute } from "./distribute.ts";

/** Keeps one model where its distribution wants it. */
export class Placement {
  readonly #model: TrainableModel;
  readonly #backend: Backend;
  readonly #given: Distribution | null | undefined;
  /** The end of the moves before the next one. */
  #moved: Promise<unknown> = Promise.resolve();

  /** Follows a distribution; the one that is set when the model is used where it is undefined, `null` for one device. */
  constructor(model: TrainableModel, backend: Backend, given: Distribution | null | undefined) {
    this.#model = model;
    this.#backend = backend;
    this.#given = given;
  }

  /** The distribution that is wanted now; `null` for one device. */
  get wanted(): Distribution | null {
    return this.#given === undefined ? distribution() : this.#given;
  }

  /** Moves the model to where it is wanted, after the moves before this one, and tells whether there was anything to move. */
  async move(): Promise<boolean> {
    const result = this.#moved.then(() => distribute(this.#model, this.#backend, this.wanted));
    this.#moved = result.catch(() => {});
    return await result;
  }

  /**
   * Where the variables of the model, or of one layer, and their optimizer slots lie, a line each.
   *
   * @throws {Error} when no distribution is set.
   */
  print(layer: string | null, optimizer: Optimizer | null): string {
    const { wanted } = this;
    const { name, variables } = this.#model;
    if (wanted === null) {
      throw new Error(`Cannot print how "${name}" is sharded: no distribution is set; call setDistribution() first`);
    }
    // Adapters may have come after the optimizer.
    optimizer?.prepare(trainableVariables(this.#model));
    const isShown = ({ path }: Variable) => layer === null || path.startsWith(`${layer}/`);
    const isSlotShown = ({ follows }: Variable) => layer === null || follows !== null && isShown(follows.variable);
    const slots = optimizer?.variables ?? [];
    return formatShardings([...variables.filter(isShown), ...slots.filter(isSlotShown)], wanted);
  }
}
