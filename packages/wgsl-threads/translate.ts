/**
 * Programs in WGSL as JavaScript in which threads can wait for each other: the subset of the language that the backend writes,
 * in which names are declared before their use.
 */

import { type Type, zero } from "./builtins.ts";
import { type Expression, expressionsOf, type Program } from "./expressions.ts";
import { readerOf } from "./reader.ts";

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

/** Translates a program that sees these names in addition to its own: arrays, and values by their type. */
export function translate(
  code: string,
  given: Readonly<Record<string, Type>>,
  values: Readonly<Record<string, Type>>,
): Translation {
  const reader = readerOf(code);
  const program: Program = {
    constants: [],
    arrays: new Map(Object.entries(given)),
    values,
    scopes: [new Map(Object.entries(values))],
    signatures: new Map(),
    waits: false,
    barriers: 0,
  };
  const { peek, take, accept, list, fail } = reader;
  const { constants, arrays, scopes, signatures } = program;
  const { type, binary, postfix, infix } = expressionsOf(reader, program);
  const shared: SharedDeclaration[] = [];
  const own: string[] = [];

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
    const end = reader.at;
    reader.at = limit;
    const last = binary(0).js;
    reader.at = steps + 1;
    const step = reader.tokens[steps] === "++" ? "1" : binary(0).js;
    reader.at = end;
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
        const [counter, limit] = [peek(), reader.at + 2];
        const condition = binary(0).js;
        const isCounted = reader.tokens[limit - 1] === "<";
        take(";");
        const steps = isCounted && peek() === counter && ["+=", "++"].includes(reader.tokens[reader.at + 1]!)
          ? reader.at + 1
          : null;
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
        arrays.set(name, of);
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
      program.waits = false;
      const body = block();
      const { waits } = program;
      signatures.set(name, { result, waits });
      own.push(`${waits ? "function*" : "function"} $${name}(${parameters.join(", ")}) ${body}`);
    });
  }

  while (reader.at < reader.tokens.length) declaration();
  return { constants, shared, own, waits: signatures.get("main")?.waits ?? false };
}
