/**
 * The house rules that `deno lint` has no rule for, as a plugin of it; the root `deno.json` loads it.
 *
 * - `tessera/error-message`: a literal message of an error starts with a capital letter, ends without a period and has
 *   no contractions.
 * - `tessera/doc-comment`: exported symbols and the members of exported interfaces have a doc comment, and a `mod.ts`
 *   has one for the module.
 *
 * Tests and benchmarks are exempt.
 */
import { isTestFile } from "./workspace.ts";

const contraction =
  /\b[a-z]+n['’]t\b|\b(?:it|that|there|what|who|here|let|he|she)['’]s\b|\b[a-z]+['’](?:re|ve|ll|d|m)\b/i;

/** The literal pieces of a message in order; `null` stands for a value that is put in. */
function pieces(node: Deno.lint.Node): (string | null)[] {
  switch (node.type) {
    case "Literal":
      return [typeof node.value === "string" ? node.value : null];
    case "TemplateLiteral":
      return node.quasis.flatMap((quasi, i) => i === 0 ? [quasi.cooked] : [null, quasi.cooked])
        .filter((piece) => piece !== "");
    case "BinaryExpression":
      return node.operator === "+" ? [...pieces(node.left), ...pieces(node.right)] : [null];
    default:
      return [null];
  }
}

/** Says what is wrong with the text of a message, one sentence each. */
function checkMessage(message: (string | null)[]): string[] {
  const problems = [];
  const [first, last] = [message[0], message.at(-1)];
  if (first && /^\p{Ll}/u.test(first)) problems.push("An error message starts with a capital letter");
  if (last && /\.\s*$/.test(last)) problems.push("An error message ends without a period");
  const found = message.map((piece) => piece && contraction.exec(piece)?.[0]).find(Boolean);
  if (found) problems.push(`An error message has no contractions: "${found}"`);
  return problems;
}

const errorMessage: Deno.lint.Rule = {
  create(context) {
    if (isTestFile(context.filename)) return {};
    function check(node: Deno.lint.NewExpression | Deno.lint.CallExpression) {
      const name = node.callee.type === "Identifier" ? node.callee.name : "";
      if (!/^[A-Z]\w*(Error|Exception)$/.test(name) && name !== "Error") return;
      const message = node.arguments[name === "AggregateError" ? 1 : 0];
      if (!message) return;
      for (const problem of checkMessage(pieces(message))) context.report({ node: message, message: problem });
    }
    return { NewExpression: check, CallExpression: check };
  },
};

const docComment: Deno.lint.Rule = {
  create(context) {
    if (isTestFile(context.filename)) return {};
    const code = context.sourceCode;
    const comments = code.getAllComments().filter((comment) => comment.value.startsWith("*"));
    const docs = comments.map((comment) => comment.range);

    /** Tells whether nothing but other comments stands between a doc comment and the node. */
    function isDocumented(node: Deno.lint.Node): boolean {
      const end = docs.findLast((range) => range[1] <= node.range[0])?.[1];
      if (end === undefined) return false;
      return code.text.slice(end, node.range[0]).replace(/\/\*[^]*?\*\/|\/\/.*/g, "").trim() === "";
    }

    /** Reports nodes without a doc comment; of several with one name, which are overloads, the first has it. */
    function check(list: { node: Deno.lint.Node; name: string | null }[], what: (name: string) => string) {
      const seen = new Set<string>();
      for (const { node, name } of list) {
        if (name === null || seen.has(name)) continue;
        seen.add(name);
        if (!isDocumented(node)) context.report({ node, message: `${what(name)} has no doc comment` });
      }
    }

    function checkInterface({ id, body }: Deno.lint.TSInterfaceDeclaration) {
      const members = body.body.map((node) => ({ node, name: memberName(node) }));
      check(members, (name) => `Member "${name}" of exported interface "${id.name}"`);
    }

    return {
      Program(program) {
        const exported: { node: Deno.lint.Node; name: string | null }[] = [];
        for (const node of program.body) {
          if (node.type !== "ExportNamedDeclaration" || !node.declaration) continue;
          exported.push({ node, name: declaredName(node.declaration) });
          if (node.declaration.type === "TSInterfaceDeclaration") checkInterface(node.declaration);
        }
        check(exported, (name) => `Exported "${name}"`);
        const isEntry = /(^|[/\\])mod\.ts$/.test(context.filename);
        if (isEntry && !comments.some((comment) => /@module\b/.test(comment.value))) {
          context.report({ range: [0, 0], message: "Entry file has no @module comment" });
        }
      },
    };
  },
};

function declaredName(node: Deno.lint.ExportNamedDeclaration["declaration"]): string | null {
  if (!node) return null;
  if (node.type === "VariableDeclaration") {
    const id = node.declarations[0]?.id;
    return id?.type === "Identifier" ? id.name : null;
  }
  return "id" in node && node.id?.type === "Identifier" ? node.id.name : null;
}

function memberName(node: Deno.lint.TSInterfaceBody["body"][number]): string | null {
  if (node.type !== "TSPropertySignature" && node.type !== "TSMethodSignature") return null;
  return node.key.type === "Identifier" ? node.key.name : node.key.type === "Literal" ? String(node.key.value) : null;
}

const plugin: Deno.lint.Plugin = {
  name: "tessera",
  rules: { "error-message": errorMessage, "doc-comment": docComment },
};

export default plugin;
