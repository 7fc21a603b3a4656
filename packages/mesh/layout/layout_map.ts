/**
 * Layout maps: regular expressions on the paths of variables, each with a layout.
 *
 * Lookup is Keras's: a key that equals the path goes first, else the one key that matches the whole path; two that match
 * are an error, and the order of keys does not matter. Beyond Keras, a wrong key is reported when it is set, and `check`
 * reports keys that match nothing and dimensions that do not divide before any value exists.
 */
import type { LayoutVariable } from "./axis_roles.ts";
import type { DeviceMesh } from "./device_mesh.ts";
import { fitLayout, type IndivisibleOptions } from "./fit_layout.ts";
import { nearestPath } from "./nearest_path.ts";
import { type LayoutSpec, TensorLayout } from "./tensor_layout.ts";

/** What a layout is set for: a path, or a regular expression, as a string or not, that matches whole paths. */
export type LayoutKey = string | RegExp;

/** How a key is treated. */
export interface LayoutKeyOptions {
  /** Whether the key may match nothing; false unless given. */
  readonly optional?: boolean;
}

/** How variables are checked against a map. */
export interface CheckOptions extends IndivisibleOptions {
  /** The paths of activations, such as `decoder_block_0/output`; keys that end in `output` are checked only if given. */
  readonly activations?: Iterable<string>;
}

/** What a map says about some paths. */
export interface LayoutTable {
  /** One row per path: the key that matches it and its layout, or `null` where no key does. */
  readonly rows: readonly {
    readonly path: string;
    readonly key: LayoutKey | null;
    readonly layout: TensorLayout | null;
  }[];
  /** The keys that match no path, each with the path that comes nearest, `null` where there are no paths. */
  readonly unmatched: readonly { readonly key: LayoutKey; readonly nearest: string | null }[];
  /** Prints the table, one line per path. */
  toString(): string;
}

interface Entry<Axis extends string> {
  readonly key: LayoutKey;
  readonly pattern: RegExp;
  readonly layout: TensorLayout<Axis>;
  readonly optional: boolean;
}

/** Layouts by path, for variables and for activations. */
export class LayoutMap<Axis extends string = string> {
  /** The mesh on which the layouts are. */
  readonly mesh: DeviceMesh<Axis>;
  readonly #entries = new Map<string, Entry<Axis>>();

  /** Makes an empty map. */
  constructor(mesh: DeviceMesh<Axis>) {
    this.mesh = mesh;
  }

  /** The number of keys. */
  get size(): number {
    return this.#entries.size;
  }

  /**
   * Sets the layout of the paths that a key matches, and returns the map.
   *
   * @throws {TypeError} when the key is there already, or the layout is on another mesh or names an axis twice.
   * @throws {SyntaxError} when the key is not a regular expression.
   * @throws {RangeError} when the mesh lacks an axis of the layout.
   */
  set(key: LayoutKey, layout: LayoutSpec<Axis> | TensorLayout<Axis>, options: LayoutKeyOptions = {}): this {
    const name = nameOf(key);
    const there = this.#entries.get(name);
    if (there !== undefined) {
      throw new TypeError(
        `Cannot set the layout of ${quote(key)}: it is set to ${there.layout} already; delete the key first`,
      );
    }
    const pattern = wholePattern(key);
    if (layout instanceof TensorLayout && layout.mesh !== this.mesh) {
      throw new TypeError(`Cannot set the layout of ${quote(key)}: the layout is on another mesh than the map`);
    }
    const made = layout instanceof TensorLayout ? layout : new TensorLayout(layout, this.mesh);
    this.#entries.set(name, { key, pattern, layout: made, optional: options.optional ?? false });
    return this;
  }

  /**
   * The layout of a path; `undefined` when no key matches it.
   *
   * @throws {TypeError} when several keys match it.
   */
  get(path: string): TensorLayout<Axis> | undefined {
    return this.#find(path)?.layout;
  }

  /**
   * Whether a key matches a path.
   *
   * @throws {TypeError} when several keys match it.
   */
  has(path: string): boolean {
    return this.#find(path) !== undefined;
  }

  /** Removes a key, and tells whether it was there. */
  delete(key: LayoutKey): boolean {
    return this.#entries.delete(nameOf(key));
  }

  /** The keys in the order in which they were set. */
  *keys(): IterableIterator<LayoutKey> {
    for (const { key } of this.#entries.values()) yield key;
  }

  /** The keys and their layouts in the order in which they were set. */
  *[Symbol.iterator](): IterableIterator<[key: LayoutKey, layout: TensorLayout<Axis>]> {
    for (const { key, layout } of this.#entries.values()) yield [key, layout];
  }

  /**
   * A table of which key gives each path its layout, and of the keys that match none.
   *
   * @throws {TypeError} when several keys match a path.
   */
  explain(paths: Iterable<string>): LayoutTable {
    const all = [...paths];
    const rows = all.map((path) => {
      const found = this.#find(path);
      return { path, key: found?.key ?? null, layout: found?.layout ?? null };
    });
    const unmatched = [...this.#entries.values()]
      .filter(({ key, pattern }) => !all.some((path) => path === key || pattern.test(path)))
      .map(({ key, pattern }) => ({ key, nearest: nearestPath(pattern, all) }));
    return { rows, unmatched, toString: () => printTable(rows, unmatched) };
  }

  /**
   * Checks that every key matches something and that every variable can be sharded as its layout says.
   *
   * @throws {TypeError} when a key that is not optional matches nothing, or several match one path.
   * @throws {RangeError} when a dimension does not divide over its mesh axes, or a layout has too many entries.
   */
  check(variables: readonly LayoutVariable[], options: CheckOptions = {}): void {
    const paths = variables.map(({ path }) => path);
    const activations = options.activations && [...options.activations];
    const { rows, unmatched } = this.explain([...paths, ...activations ?? []]);
    for (const { key, nearest } of unmatched) {
      const { optional, pattern } = this.#entries.get(nameOf(key))!;
      if (optional || activations === undefined && isActivationKey(pattern)) continue;
      throw new TypeError(
        `Cannot use layout key ${quote(key)}: it matches none of the ${paths.length} variables` +
          (activations === undefined ? "" : ` and ${activations.length} activations`) +
          (nearest === null ? "" : `; the nearest is "${nearest}"`),
      );
    }
    variables.forEach((variable, i) => {
      const { layout } = rows[i]!;
      if (layout !== null) fitLayout(layout, variable, options);
    });
  }

  #find(path: string): Entry<Axis> | undefined {
    const exact = this.#entries.get(nameOf(path));
    if (exact !== undefined) return exact;
    const matches = [...this.#entries.values()].filter(({ pattern }) => pattern.test(path));
    if (matches.length > 1) {
      throw new TypeError(
        `Cannot look up the layout of "${path}": at most one key may match, found ` +
          matches.map(({ key }) => quote(key)).join(" and "),
      );
    }
    return matches[0];
  }
}

/** What tells keys apart; expressions begin with a slash. */
function nameOf(key: LayoutKey): string {
  return typeof key === "string" ? `=${key}` : String(key);
}

function quote(key: LayoutKey): string {
  return typeof key === "string" ? `"${key}"` : String(key);
}

/** An expression that matches a path only from end to end, as Python's `fullmatch` does. */
function wholePattern(key: LayoutKey): RegExp {
  const [source, flags] = typeof key === "string" ? [key, ""] : [key.source, key.flags.replaceAll(/[gmyd]/g, "")];
  try {
    // Compiled by itself first, since brackets that do not match could pair up with those that are put around it.
    new RegExp(source, flags);
    return new RegExp(`^(?:${source})$`, flags);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.replace(/^.*: /, "").toLowerCase() : "";
    throw new SyntaxError(`Cannot use ${quote(key)} as a layout key: not a regular expression, ${reason}`, { cause });
  }
}

/** Whether a key is for activations: their paths end in `/output`. */
function isActivationKey(pattern: RegExp): boolean {
  return /(?:^|[/.*])output$/.test(pattern.source.slice(4, -2));
}

function printTable(rows: LayoutTable["rows"], unmatched: LayoutTable["unmatched"]): string {
  const cells = rows.map(({ path, key, layout }) => [
    path,
    key === null ? "(no key)" : String(key),
    layout === null ? "replicated" : String(layout),
  ]);
  const widths = [0, 1].map((column) => Math.max(0, ...cells.map((row) => row[column]!.length)));
  return [
    ...cells.map(([path, key, layout]) => `${path!.padEnd(widths[0]!)}  ${key!.padEnd(widths[1]!)}  ${layout}`),
    ...unmatched.map(({ key, nearest }) =>
      `${quote(key)} matches nothing` + (nearest === null ? "" : `; the nearest is "${nearest}"`)
    ),
  ].join("\n");
}
