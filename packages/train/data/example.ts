/**
 * Training examples as people write them, checked one record at a time.
 *
 * A record is told by its keys: `{ "prompt", "response" }`, with an `"image"` or without, `{ "text" }` or `{ "messages" }`.
 * Keys beyond these are allowed, since data sets carry identifiers and sources along. Every error says where the record stands, what was found
 * and what would be right.
 */

import { nearestName } from "@tessera/text";
import type { ChatMessage } from "@tessera/tokenizer";

/** A question and the answer to learn. */
export interface PromptExample {
  /** Names the kind. */
  readonly kind: "prompt";
  /** The image that goes before the prompt: the path of its file, or the bytes of one. */
  readonly image?: string | Uint8Array;
  /** What the model is given; it does not count in the loss. */
  readonly prompt: string;
  /** What the model learns to answer. */
  readonly response: string;
  /** Where the example comes from, such as `train.jsonl:12`. */
  readonly at: string;
}

/** A text to learn as a whole. */
export interface TextExample {
  /** Names the kind. */
  readonly kind: "text";
  /** What the model learns to write. */
  readonly text: string;
  /** Where the example comes from, such as `train.jsonl:12`. */
  readonly at: string;
}

/** A conversation, of which the assistant's turns are learned. */
export interface ChatExample {
  /** Names the kind. */
  readonly kind: "messages";
  /** The turns, oldest first. */
  readonly messages: readonly ChatMessage[];
  /** Where the example comes from, such as `train.jsonl:12`. */
  readonly at: string;
}

/** One training example. */
export type Example = PromptExample | TextExample | ChatExample;

type Fields = Readonly<Record<string, unknown>>;

interface Shape {
  readonly keys: readonly string[];
  parse(record: Fields, at: string): Example;
}

/** Other names under which data sets keep these fields, by the name used here. */
const otherNames: Readonly<Record<string, readonly string[]>> = {
  prompt: ["instruction", "question", "input", "query"],
  response: ["completion", "output", "answer", "target"],
  text: ["content", "document"],
  messages: ["conversation", "conversations", "dialog", "chat"],
};

const expectedRecords = `{ "prompt", "response" }, { "text" } or { "messages" }`;

function describe(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object") return "an object";
  const text = JSON.stringify(value) ?? String(value);
  return `the ${typeof value} ${text.length > 40 ? `${text.slice(0, 39)}…` : text}`;
}

function fail(at: string, problem: string): never {
  throw new TypeError(`Cannot read ${at}: ${problem}`);
}

/** The key of a record that most likely stands for a name that the record lacks. */
function likelyKey(name: string, record: Fields, known: readonly string[]): string | null {
  const candidates = Object.keys(record).filter((key) => !known.includes(key));
  return candidates.find((key) => otherNames[name]!.includes(key.toLowerCase())) ?? nearestName(name, candidates);
}

function stringField(record: Fields, name: string, known: readonly string[], at: string): string {
  const value = record[name];
  if (typeof value === "string") return value;
  if (value !== undefined) fail(at, `"${name}" is ${describe(value)}; expected a string`);
  const near = likelyKey(name, record, known);
  fail(at, `"${name}" is missing` + (near === null ? "" : `; rename "${near}" to "${name}" if that is what it means`));
}

function imageField({ image }: Fields, at: string): { image?: string | Uint8Array } {
  if (image === undefined || image === null) return {};
  if ((typeof image === "string" && image !== "") || image instanceof Uint8Array) return { image };
  fail(at, `"image" is ${describe(image)}; expected the path of an image`);
}

const roles = ["system", "user", "assistant"];

function parseMessage(value: unknown, name: string, at: string): ChatMessage {
  if (typeof value !== "object" || value === null) {
    fail(at, `${name} is ${describe(value)}; expected { "role", "content" }`);
  }
  const { role, content } = value as Fields;
  for (const [key, field] of [["role", role], ["content", content]] as const) {
    if (typeof field === "string") continue;
    const near = field === undefined ? nearestName(key, Object.keys(value)) : null;
    const found = field === undefined ? "is missing" : `is ${describe(field)}`;
    fail(at, `${name}.${key} ${found}; expected a string${near === null ? "" : `; found "${near}"`}`);
  }
  return { role: role as string, content: content as string };
}

const shapes: { readonly [K in Example["kind"]]: Shape } = {
  messages: {
    keys: ["messages"],
    parse({ messages }, at) {
      if (!Array.isArray(messages)) fail(at, `"messages" is ${describe(messages)}; expected an array`);
      if (messages.length === 0) fail(at, `"messages" is empty; expected at least one assistant turn`);
      const turns = messages.map((value, index) => parseMessage(value, `messages[${index}]`, at));
      if (!turns.some((turn) => turn.role === "assistant")) {
        const found = [...new Set(turns.map((turn) => `"${turn.role}"`))].join(", ");
        const near = turns.map((turn) => turn.role).find((role) =>
          !roles.includes(role) && nearestName(role, roles) === "assistant"
        );
        const hint = near === undefined ? "" : `; "${near}" looks misspelled`;
        fail(at, `no message has the role "assistant", so there is nothing to learn; found ${found}${hint}`);
      }
      return { kind: "messages", messages: turns, at };
    },
  },
  prompt: {
    keys: ["prompt", "response"],
    parse: (record, at) => ({
      kind: "prompt",
      ...imageField(record, at),
      prompt: stringField(record, "prompt", ["response"], at),
      response: stringField(record, "response", ["prompt"], at),
      at,
    }),
  },
  text: {
    keys: ["text"],
    parse(record, at) {
      const text = stringField(record, "text", [], at);
      if (text === "") fail(at, `"text" is empty; expected a text to learn`);
      return { kind: "text", text, at };
    },
  },
};

/**
 * Checks one record and makes an example of it.
 *
 * @param at where the record stands, such as `train.jsonl:12`; errors start with it.
 * @throws {TypeError} when the record is of no known kind, of two kinds, or has a wrong field.
 */
export function parseExample(value: unknown, at: string): Example {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    fail(at, `found ${describe(value)}; expected an object with ${expectedRecords}`);
  }
  const record = value as Fields;
  const found = Object.values(shapes).filter((shape) => shape.keys.some((key) => record[key] !== undefined));
  if (found.length === 1) return found[0]!.parse(record, at);
  if (found.length > 1) {
    const kinds = found.map((shape) => `{ "${shape.keys.join(`", "`)}" }`).join(" and ");
    fail(at, `the record mixes ${kinds}; keep the keys of one kind`);
  }
  const keys = Object.keys(record);
  const hints = Object.keys(otherNames).flatMap((name) => {
    const near = likelyKey(name, record, []);
    return near === null ? [] : [`rename "${near}" to "${name}" if that is what it means`];
  });
  const given = keys.length === 0 ? "no keys" : `the keys "${keys.slice(0, 8).join(`", "`)}"`;
  fail(at, [`found ${given}; expected ${expectedRecords}`, ...hints].join("; "));
}
