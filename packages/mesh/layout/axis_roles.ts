/**
 * What the axes of well-known variables are, by their paths in Keras's naming.
 *
 * It makes errors readable (`4 heads` rather than `length 4`) and says which axis of a kernel counts key/value heads. A
 * variable that brings names of its own goes first; one that no row knows has none.
 */

/** What a layout needs to know about a variable. */
export interface LayoutVariable {
  /** The path, such as `decoder_block_0/attention/key/kernel`. */
  readonly path: string;
  /** The logical shape. */
  readonly shape: readonly number[];
  /** What each axis counts, in the plural, such as `["heads", "hidden units", "head units"]`. */
  readonly axes?: readonly string[];
}

const hidden = "hidden units";
const head = "head units";
const inner = "intermediate units";

/** One row per kind of variable: its path and what each axis counts. */
const roles: readonly (readonly [path: RegExp, axes: readonly string[]])[] = [
  [/(^|\/)attention\/(query|key|value)\/kernel$/, ["heads", hidden, head]],
  [/(^|\/)self_attention\/(query|key|value)\/kernel$/, [hidden, "heads", head]],
  [/(^|\/)self_attention\/(query|key|value)\/bias$/, ["heads", head]],
  [/(^|\/)attention_output\/kernel$/, ["heads", head, hidden]],
  [/(^|\/)token_embedding\/embeddings$/, ["tokens", hidden]],
  [/(^|\/)token_embedding\/reverse_embeddings$/, [hidden, "tokens"]],
  [/(^|\/)(ffw_gating(_2)?|feedforward_(intermediate|gate)_dense)\/kernel$/, [hidden, inner]],
  [/(^|\/)(ffw_linear|feedforward_output_dense)\/kernel$/, [inner, hidden]],
];

function rolesOf({ path, shape, axes }: LayoutVariable): readonly string[] {
  const known = axes ?? roles.find(([pattern]) => pattern.test(path))?.[1] ?? [];
  return known.length === shape.length ? known : [];
}

/** The length of an axis with what it counts, such as `4 heads`; `length 4` where that is not known. */
export function describeLength(variable: LayoutVariable, axis: number): string {
  const length = variable.shape[axis]!;
  const role = rolesOf(variable)[axis];
  if (role === undefined) return `length ${length}`;
  return `${length} ${length === 1 ? role.replace(/s$/, "") : role}`;
}

/** Whether an axis of a variable counts key/value heads. */
export function isKeyValueHeads(variable: LayoutVariable, axis: number): boolean {
  return /(^|\/)(key|value)\//.test(variable.path) && rolesOf(variable)[axis] === "heads";
}
