/**
 * Programs in WGSL as JavaScript in which threads can wait for each other: the part of the language that the backend writes,
 * in which names are declared before their use.
 */

import { operators } from "./arithmetic.ts";
import { builtins, elementOf, isVector, type Type, type Typed, vectorOf, wordsOfType, zero } from "./builtins.ts";

/** What an expression can be written to. */
type Place =
  | { readonly kind: "variable"; readonly js: string }
  | { readonly kind: "component"; readonly js: string; readonly part: string }
  | { readonly kind: "element"; readonly array: string; readonly at: string; readonly part?: string };

interface Expression extends Typed {
  readonly place?: Place;
  /** The array that this is the name of. */
  readonly array?: string;
}

/** A function of a program: what it gives, and whether it waits for other threads. */
interface Signature {
  readonly result: Type;
  readonly waits: boolean;
}

/** An array that a program shares between threads. */
export interface SharedDeclaration {
  /** Its name. */
  readonly name: string;
  /** JavaScript for how many elements it has. */
  readonly length: string;
  /** What its elements are. */
  readonly type: Type;
}

/** A program in JavaScript. */
export interface Translation {
  /** Constants. */
  readonly constants: readonly string[];
  /** What a group of threads shares. */
  readonly shared: readonly SharedDeclaration[];
  /** What each thread has for itself: variables and functions. */
  readonly own: readonly string[];
  /** Whether `main` waits for other threads. */
  readonly waits: boolean;
}

const withElement = (type: Type, element: Type) => isVector(type) ? type.replace(/<\w+>/, `<${element}>`) : element;

/** Operators from the loosest to the tightest. */
const levels = ["||", "&&", "|", "&", "== !=", "< <= > >=", "<< >>", "+ -", "* / %"].map((level) => level.split(" "));

const token =
  /\s+|\/\/[^\n]*|(0x[\da-f]+u?|\d+\.?\d*(?:e[-+]?\d+)?u?|\w+|<<|>>|<=|>=|==|!=|&&|\|\||->|\+\+|[-+*/%]=|[^\s\w])/gi;

/** Where sums are among the levels: what the length of an array is, since a comparison would take its closing bracket. */
const sums = levels.findIndex(([operator]) => operator === "+");

/** Translates a program that finds these names beside its own: arrays, and values by their type. */
export function translate(
  code: string,
  arrays: Readonly<Record<string, Type>>,
  values: Readonly<Record<string, Type>>,
): Translation {
  const tokens = [...code.matchAll(token)].flatMap((match) => match[1] ?? []);
  let at = 0;
  const constants: string[] = [];
  const shared: SharedDeclaration[] = [];
  const own: string[] = [];
  const signatures = new Map<string, Signature>();
  const helpers = new Map<string, string>();
  const arrayTypes = new Map(Object.entries(arrays));
  const scopes: Map<string, Type>[] = [new Map(Object.entries(values))];
  let waits = false;
  let barriers = 0;

  const peek = () => tokens[at] ?? "";
  const fail = (wanted: string): never => {
    throw new SyntaxError(
      `Cannot translate WGSL: expected ${wanted} and found "${tokens.slice(at, at + 8).join(" ")}" after "${
        tokens.slice(Math.max(0, at - 12), at).join(" ")
      }"`,
    );
  };
  const take = (wanted?: string) => {
    if (wanted !== undefined && peek() !== wanted) fail(`"${wanted}"`);
    return tokens[at++]!;
  };
  const accept = (wanted: string) => peek() === wanted ? (at++, true) : false;
  const list = <T>(close: string, item: () => T): T[] => {
    const items: T[] = [];
    while (!accept(close)) {
      items.push(item());
      if (peek() !== close) take(",");
    }
    return items;
  };
  const declare = (name: string, type: Type) => {
    scopes.at(-1)!.set(name, type === "int" ? "i32" : type);
    return `$${name}`;
  };
  const inScope = <T>(run: () => T): T => {
    scopes.push(new Map());
    const result = run();
    scopes.pop();
    return result;
  };

  function type(): Type {
    const name = take();
    if (!accept("<")) return name;
    const inner = type();
    if (name === "array") {
      take(",");
      const length = binary(sums).js;
      take(">");
      return `${inner}[${length}`;
    }
    take(">");
    return `${name}<${inner}>`;
  }

  function value(place: Place, of: Type): Expression {
    const js = place.kind === "variable"
      ? place.js
      : place.kind === "component"
      ? `rt.part(${place.js}, ${place.part})`
      : place.part === undefined
      ? `${place.array}.read(${place.at}, me)`
      : `rt.part(${place.array}.read(${place.at}, me), ${place.part})`;
    return { js, type: of, place };
  }

  function named(name: string): Expression {
    const found = scopes.findLast((scope) => scope.has(name))?.get(name);
    if (found === undefined) {
      const array = arrayTypes.get(name) ?? fail(`a name that is known, not "${name}",`);
      if (peek() === "[") return { js: `$${name}`, type: array, array: `$${name}` };
      return value({ kind: "element", array: `$${name}`, at: "0" }, array);
    }
    return value({ kind: "variable", js: `$${name}` }, found);
  }

  function argument(): Typed {
    return accept("&") ? { js: `$${take()}`, type: "pointer" } : binary(0);
  }

  function call(name: string): Expression {
    if (accept("<")) {
      const of = type();
      take(">");
      take("(");
      const operands = list(")", argument);
      if (name !== "bitcast") return vectorOf(`${name}<${of}>`, operands);
      const [x] = operands as [Typed];
      return { js: `rt.bitcast(${x.js}, "${x.type === "int" ? "i32" : x.type}", "${of}")`, type: of };
    }
    take("(");
    const operands = list(")", argument);
    const js = operands.map((operand) => operand.js).join(", ");
    if (name === "workgroupBarrier") {
      waits = true;
      return { js: `yield ${++barriers}`, type: "void" };
    }
    if (name === "workgroupUniformLoad") {
      waits = true;
      barriers += 2;
      return { js: `(yield* rt.uniformLoad(${js}, me, ${barriers}))`, type: arrayTypes.get(js.slice(1))! };
    }
    const signature = signatures.get(name);
    if (signature === undefined) {
      return builtins[name]?.(operands, js) ?? fail(`a function that is known, not "${name}",`);
    }
    waits ||= signature.waits;
    return { js: `(${signature.waits ? "yield* " : ""}$${name}(${js}))`, type: signature.result };
  }

  function primary(): Expression {
    const first = take();
    if (first === "(") {
      const { js, type } = binary(0);
      take(")");
      return { js: `(${js})`, type };
    }
    if (/^0x|^\d/.test(first)) {
      if (first.endsWith("u")) return { js: `${Number(first.slice(0, -1))}`, type: "u32" };
      if (!first.startsWith("0x") && /[.e]/.test(first)) return { js: `${Math.fround(Number(first))}`, type: "f32" };
      return { js: first, type: "int" };
    }
    if (first === "true" || first === "false") return { js: first, type: "bool" };
    if (first === "uniforms") {
      take(".");
      const name = take();
      return { js: `uniforms.${name}`, type: values[`uniforms.${name}`] ?? fail(`a uniform, not "${name}",`) };
    }
    if (peek() === "(" || (peek() === "<" && /^(vec\d|bitcast)$/.test(first))) return call(first);
    return named(first);
  }

  function postfix(): Expression {
    let x = primary();
    while (peek() === "[" || peek() === ".") {
      const isNamed = take() === ".";
      const part = isNamed ? `${"xyzw".indexOf(take())}` : binary(0).js;
      if (!isNamed) take("]");
      const { place } = x;
      if (x.array !== undefined) {
        x = value({ kind: "element", array: x.array, at: part }, x.type);
        continue;
      }
      const of = elementOf(x.type);
      if (place?.kind === "element") x = value({ ...place, part }, of);
      else if (place?.kind === "variable") x = value({ kind: "component", js: place.js, part }, of);
      else x = { js: `rt.part(${x.js}, ${part})`, type: of };
    }
    return x;
  }

  function unary(): Expression {
    if (accept("-")) {
      const x = unary();
      const js = isVector(x.type) ? `rt.negate(${x.js})` : /^(int|i32)$/.test(x.type) ? `(-${x.js} | 0)` : `(-${x.js})`;
      return { js, type: x.type };
    }
    if (accept("!")) {
      const x = unary();
      return { js: `rt.mixed.not(${x.js})`, type: x.type };
    }
    if (accept("~")) {
      const x = unary();
      return { js: x.type === "u32" ? `(~${x.js} >>> 0)` : `(~${x.js})`, type: x.type };
    }
    return postfix();
  }

  /** The name of a function that applies an operator to each element of vectors, and repeats other operands. */
  function helper(template: string, count: number, left: boolean, right: boolean): string {
    const key = `${template} ${count} ${left} ${right}`;
    const name = helpers.get(key) ?? `vector${helpers.size}`;
    if (!helpers.has(key)) {
      const cell = (i: number) =>
        template.replace(/\b[ab]\b/g, (name) => (name === "a" ? left : right) ? `${name}[${i}]` : name);
      constants.push(`const ${name} = (a, b) => [${Array.from({ length: count }, (_, i) => cell(i)).join(", ")}];`);
      helpers.set(key, name);
    }
    return name;
  }

  function infix(operator: string, a: Typed, b: Typed): Typed {
    if (operator === "&&" || operator === "||") return { js: `(${a.js} ${operator} ${b.js})`, type: "bool" };
    const [left, right] = [a, b].map(({ type }) => elementOf(type)) as [Type, Type];
    const isShift = operator === "<<" || operator === ">>";
    const element = left === "int" ? (right === "int" || isShift ? "i32" : right) : left;
    if (!isShift && left !== right && left !== "int" && right !== "int") {
      fail(`operands of one type, not ${left} ${operator} ${right},`);
    }
    const shape = isVector(a.type) ? a.type : b.type;
    const isComparison = /^(==|!=|<=?|>=?)$/.test(operator);
    const of = isComparison ? "bool" : left === "int" && (right === "int" || isShift) ? "int" : element;
    if (operators[element]?.[operator] === undefined) fail(`an operator of ${element}, not "${operator}",`);
    const template = operators[element]![operator]!;
    if (isVector(a.type) || isVector(b.type)) {
      const name = helper(template, wordsOfType(shape), isVector(a.type), isVector(b.type));
      return { js: `${name}(${a.js}, ${b.js})`, type: withElement(shape, of) };
    }
    const js = template.replace(/\b[ab]\b/g, (name) => name === "a" ? a.js : b.js);
    return { js: `(${js})`, type: of };
  }

  function binary(level: number): Expression {
    if (level === levels.length) return unary();
    let left: Expression = binary(level + 1);
    while (levels[level]!.includes(peek())) {
      const operator = take();
      left = infix(operator, left, binary(level + 1));
    }
    return left;
  }

  function store(target: Expression, js: string): string {
    const { place } = target;
    if (place === undefined) return fail("something that can be written to");
    if (place.kind === "variable") return `${place.js} = ${js}`;
    if (place.kind === "component") return `${place.js} = ${place.js}.with(${place.part}, ${js})`;
    if (place.part !== undefined) return `${place.array}.writePart(${place.at}, ${place.part}, ${js}, me)`;
    return `${place.array}.write(${place.at}, ${js}, me)`;
  }

  /** A statement that a `for` can have, too. */
  function simple(): string {
    if (peek() === "var" || peek() === "let") {
      take();
      const name = take();
      const wanted = accept(":") ? type() : undefined;
      const x = accept("=") ? binary(0) : { js: zero(wanted!), type: wanted! };
      return `let ${declare(name, wanted ?? x.type)} = ${x.js}`;
    }
    if (accept("_")) {
      take("=");
      return `void ${binary(0).js}`;
    }
    const target = postfix();
    const operator = peek();
    if (operator === "++") {
      take();
      return store(target, infix("+", target, { js: "1", type: "int" }).js);
    }
    if (operator === "=") {
      take();
      return store(target, binary(0).js);
    }
    if (/^[-+*/%]=$/.test(operator)) {
      take();
      return store(target, infix(operator[0]!, target, binary(0)).js);
    }
    return target.js;
  }

  /** A loop's next round, by where its limit and its step stand. */
  function counted(counter: string, limit: number, steps: number): string {
    const end = at;
    at = limit;
    const last = binary(0).js;
    at = steps + 1;
    const step = tokens[steps] === "++" ? "1" : binary(0).js;
    at = end;
    return `$${counter} = rt.next($${counter}, ${step}, ${last})`;
  }

  function statement(): string {
    if (accept(";")) return "";
    if (peek() === "{") return block();
    if (accept("return")) {
      const js = peek() === ";" ? "" : binary(0).js;
      take(";");
      return `return ${js};`;
    }
    if (accept("if")) {
      const condition = binary(0).js;
      const yes = block();
      const no = accept("else") ? ` else ${peek() === "if" ? statement() : block()}` : "";
      return `if (${condition}) ${yes}${no}`;
    }
    if (accept("for")) {
      take("(");
      return inScope(() => {
        const start = peek() === ";" ? "" : simple();
        take(";");
        const [counter, limit] = [peek(), at + 2];
        const condition = binary(0).js;
        const isCounted = tokens[limit - 1] === "<";
        take(";");
        const steps = isCounted && peek() === counter && ["+=", "++"].includes(tokens[at + 1]!) ? at + 1 : null;
        let step = peek() === ")" ? "" : simple();
        if (steps !== null) step = counted(counter, limit, steps);
        take(")");
        return `for (${start}; ${condition}; ${step}) ${block()}`;
      });
    }
    const js = simple();
    take(";");
    return `${js};`;
  }

  function block(): string {
    take("{");
    return inScope(() => {
      const lines: string[] = [];
      while (!accept("}")) lines.push(statement());
      return `{ ${lines.join("\n")} }`;
    });
  }

  function declaration(): void {
    if (accept(";")) return;
    if (accept("const")) {
      const name = take();
      take("=");
      const x = binary(0);
      scopes[0]!.set(name, x.type);
      constants.push(`const $${name} = ${x.js};`);
      return void take(";");
    }
    if (accept("var")) {
      take("<");
      const where = take();
      take(">");
      const name = take();
      take(":");
      const [, of, length = "1"] = /^([^[]*)(?:\[(.*))?$/.exec(type()) as unknown as [string, string, string?];
      take(";");
      if (where === "workgroup") {
        shared.push({ name, length, type: of });
        arrayTypes.set(name, of);
      } else own.push(`let ${declare(name, of)} = ${zero(of)};`);
      return;
    }
    take("fn");
    const name = take();
    take("(");
    inScope(() => {
      const parameters = list(")", () => {
        const parameter = take();
        take(":");
        return declare(parameter, type());
      });
      const result = accept("->") ? type() : "void";
      waits = false;
      const body = block();
      signatures.set(name, { result, waits });
      own.push(`${waits ? "function*" : "function"} $${name}(${parameters.join(", ")}) ${body}`);
    });
  }

  while (at < tokens.length) declaration();
  return { constants, shared, own, waits: signatures.get("main")?.waits ?? false };
}
