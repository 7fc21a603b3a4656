/** Compiled programs, kept for the shapes used last, and run on values that take turns in the same variables. */
import type { HostTensor } from "@tessera/core";
import { compileProgram, type Program, type TracedProgram, type Variable } from "@tessera/nn";
import type { Backend, DeviceBuffer } from "@tessera/runtime";

/** The value of a variable. */
export type Value = NonNullable<Variable["value"]>;

/** A traced program, and those of its variables that have values for the time of a run only. */
export interface Open {
  /** What was traced. */
  readonly traced: TracedProgram;
  /** The variables, in the order in which a run is given their values. */
  readonly variables: readonly Variable[];
}

interface Compiled {
  readonly program: Program;
  readonly variables: readonly Variable[];
}

/** The most programs that are kept. */
const mostPrograms = 16;

/** Compiles programs when they are first needed. */
export class ProgramStore {
  readonly #backend: Backend;
  readonly #programs = new Map<string, Promise<Compiled>>();
  /** The end of the runs before the next. */
  #turn: Promise<unknown> = Promise.resolve();

  /** Makes an empty store. */
  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /**
   * Runs a program, after the runs before, on values for its open variables, which the run may replace. The key stands for what
   * `trace` gives.
   */
  run(
    key: string,
    trace: () => Open,
    values: Value[],
    batch: Readonly<Record<string, HostTensor>>,
  ): Promise<Record<string, DeviceBuffer>> {
    const result = this.#turn.then(async () => {
      const { program, variables } = await this.#compiled(key, trace);
      this.#trim();
      variables.forEach((variable, i) => variable.value = values[i]!);
      try {
        return await program.run(batch);
      } finally {
        variables.forEach((variable, i) => {
          values[i] = variable.value!;
          variable.value = null;
        });
      }
    });
    this.#turn = result.catch(() => {});
    return result;
  }

  /** Compiles a program that will be needed soon, while others run. */
  prepare(key: string, trace: () => Open): void {
    // Should it fail, the run that needs it says so.
    void this.#compiled(key, trace).catch(() => {});
  }

  /** Frees the programs; what runs later is compiled again. */
  dispose(): void {
    for (const compiled of this.#programs.values()) disposeProgram(compiled);
    this.#programs.clear();
  }

  #compiled(key: string, trace: () => Open): Promise<Compiled> {
    const known = this.#programs.get(key);
    const compiled = known ?? compile(trace(), this.#backend);
    // Moved to the end: the first is the one that has not been used for longest.
    this.#programs.delete(key);
    this.#programs.set(key, compiled);
    // A program that failed to compile is compiled anew when it is asked for again.
    if (known === undefined) {
      compiled.catch(() => this.#programs.get(key) === compiled && this.#programs.delete(key));
    }
    return compiled;
  }

  #trim(): void {
    for (const [key, compiled] of this.#programs) {
      if (this.#programs.size <= mostPrograms) return;
      this.#programs.delete(key);
      disposeProgram(compiled);
    }
  }
}

async function compile({ traced, variables }: Open, backend: Backend): Promise<Compiled> {
  return { program: await compileProgram(traced, backend), variables };
}

function disposeProgram(compiled: Promise<Compiled>): void {
  // A program that failed to compile has told its caller so already.
  void compiled.then(({ program }) => program.dispose(), () => {});
}
