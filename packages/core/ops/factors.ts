/**
 * The reader of factor strings, from which sharding propagation and partitioning follow.
 *
 * ```text
 * factors  = operands "->" results
 * operands = nothing | tensor { "," tensor }
 * results  = tensor { "," tensor }
 * tensor   = { axis }
 * axis     = "1" | factor | "(" factor { factor } ")"
 * factor   = [ "!" ] name
 * ```
 *
 * A factor stands for one loop over an axis, or over a part of one: `(a b)` is an axis of length |a|·|b| of which `a` is
 * the outer part. A factor may be sharded over devices unless it is marked `!`; then every axis that names it is sharded, and
 * each result that does not name it is partial: the devices' results must be reduced. An axis `1` is not sharded. A
 * tensor without axes is empty text, and a string that starts with the arrow has no operands.
 */

/** One factor of an axis. */
export interface Factor {
  /** The name that the axes of other tensors share. */
  readonly name: string;
  /** Whether it must not be sharded. */
  readonly whole: boolean;
}

/** The factors of one axis, outermost first; none for an axis that is never sharded. */
export type AxisFactors = readonly Factor[];

/** What a factor string says. */
export interface Factors {
  /** The axes of each operand. */
  readonly operands: readonly (readonly AxisFactors[])[];
  /** The axes of each result. */
  readonly results: readonly (readonly AxisFactors[])[];
}

const axisPattern = /1(?!\w)|!?[A-Za-z_]\w*|\(\s*!?[A-Za-z_]\w*(?:\s+!?[A-Za-z_]\w*)*\s*\)/g;

/**
 * The axes that a factor string names.
 *
 * @throws {SyntaxError} when it does not follow the grammar, or when a factor is marked `!` in one place only.
 */
export function parseFactors(text: string): Factors {
  const fail = (what: string): never => {
    throw new SyntaxError(`Cannot read factors "${text}": ${what}`);
  };
  const sides = text.split("->");
  if (sides.length !== 2) fail('expected operands and results around one "->", such as "a k, k b -> a b"');
  const whole = new Map<string, boolean>();
  const parseFactor = (part: string): Factor => {
    const factor = { name: part.replace("!", ""), whole: part.startsWith("!") };
    if ((whole.get(factor.name) ?? factor.whole) !== factor.whole) {
      fail(`"${factor.name}" is marked "!" in one place and not in another`);
    }
    whole.set(factor.name, factor.whole);
    return factor;
  };
  const parseTensor = (tensor: string): AxisFactors[] => {
    const rest = tensor.replaceAll(axisPattern, "").trim();
    if (rest !== "") fail(`"${rest}" is not an axis: expected a name, "1", or names in parentheses`);
    return (tensor.match(axisPattern) ?? []).map((axis) =>
      axis === "1" ? [] : axis.replace(/[()]/g, "").trim().split(/\s+/).map(parseFactor)
    );
  };
  const [left, right] = sides as [string, string];
  return {
    operands: left === "" ? [] : left.split(",").map(parseTensor),
    results: right.split(",").map(parseTensor),
  };
}
