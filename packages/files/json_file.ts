/**
 * Reading JSON files that people edit and tools write: every complaint names the file, and the line or the field.
 */
import { z } from "zod";
import { didYouMean, nearestName } from "@tessera/text";
import { type FileEntry, fileOf } from "./files.ts";

/**
 * A JSON file, checked against a schema.
 *
 * @throws {Error} when the file cannot be read.
 * @throws {SyntaxError} when it is not JSON; the message has the line.
 * @throws {TypeError} when a field is missing, misspelled or of the wrong kind; the message has them all.
 */
export async function readJson<S extends z.ZodType>(file: string | FileEntry, schema: S): Promise<z.output<S>> {
  const { path } = fileOf(file);
  return checkJson(path, parseJson(path, await readText(file)), schema);
}

/**
 * A text file.
 *
 * @throws {Error} when it cannot be read.
 */
export async function readText(file: string | FileEntry): Promise<string> {
  const text = await readTextIfPresent(file);
  if (text === null) throw new Error(`Cannot read "${fileOf(file).path}": there is no such file`);
  return text;
}

/** Like `readText`, but gives null for a file that is not there. */
export async function readTextIfPresent(file: string | FileEntry): Promise<string | null> {
  // A byte order mark is not part of the text.
  return (await fileOf(file).text())?.replace(/^\uFEFF/, "") ?? null;
}

/**
 * The value of a JSON text that came from `path`.
 *
 * @throws {SyntaxError} when it is not JSON; the message has the line and column.
 */
export function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const { message } = cause as Error;
    // V8 gives the position, except where the text ends too early.
    const position = Number(/at position (\d+)/.exec(message)?.[1] ?? text.length);
    const before = text.slice(0, position).split("\n");
    const reason = message.replace(/ (in JSON )?at position.*$/s, "");
    throw new SyntaxError(
      `Cannot read "${path}": line ${before.length}, column ${before.at(-1)!.length + 1} is not JSON: ${reason}`,
      { cause },
    );
  }
}

/**
 * A value that came from `path`, checked against a schema; unknown fields that look like a missing one are errors too.
 *
 * @throws {TypeError} when a field is missing, misspelled or of the wrong kind; the message has them all.
 */
export function checkJson<S extends z.ZodType>(path: string, value: unknown, schema: S): z.output<S> {
  const result = schema.safeParse(value);
  const misspelled = misspellings(value, schema);
  const complaints = misspelled.map(({ found, known }) => `"${found}" is not a known field, did you mean "${known}"?`);
  const excused = new Set(misspelled.map(({ known }) => known));
  for (const issue of result.error?.issues ?? []) {
    if (issue.code === "unrecognized_keys") {
      const unexplained = issue.keys.filter((key) => !misspelled.some(({ found }) => found === field(issue.path, key)));
      const known = Object.keys(fieldsAt(schema, issue.path) ?? {});
      complaints.push(
        ...unexplained.map((key) => `"${field(issue.path, key)}" is not a known field${didYouMean(key, known)}`),
      );
    } else if (!excused.has(field(issue.path))) {
      const subject = issue.path.length === 0 ? "its content" : `"${field(issue.path)}"`;
      complaints.push(`${subject} ${describe(value, issue.path)}: ${issue.message}`);
    }
  }
  if (complaints.length > 0) throw new TypeError(`Cannot use "${path}": ${complaints.join("; ")}`);
  return result.data!;
}

function field(path: readonly PropertyKey[], key?: string): string {
  return [...path, ...(key === undefined ? [] : [key])].join(".");
}

function describe(value: unknown, path: readonly PropertyKey[]): string {
  let at: unknown = value;
  for (const key of path) at = isObject(at) || Array.isArray(at) ? Reflect.get(at, key) : undefined;
  if (at === undefined) return "is missing";
  const text = JSON.stringify(at);
  return `is ${text.length > 60 ? `${text.slice(0, 57)}...` : text}`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The fields of a value that its schema does not know, but that are a slip away from one that it knows and that is absent.
 *
 * Files from elsewhere carry many fields that no schema lists, so few edits count: two in a long name, one in a shorter, none in names like `top_p`.
 */
function misspellings(value: unknown, schema: z.ZodType, path: string[] = []): { found: string; known: string }[] {
  const fields = fieldsOf(schema);
  if (fields === null || !isObject(value)) return [];
  const absent = Object.keys(fields).filter((key) => value[key] === undefined);
  return Object.keys(value).flatMap((key) => {
    const inner = fields[key];
    if (inner !== undefined) return misspellings(value[key], inner, [...path, key]);
    const known = nearestName(key, absent, key.length < 6 ? 0 : key.length < 14 ? 1 : 2) ??
      absent.find((name) => bare(name) === bare(key)) ?? null;
    return known === null ? [] : [{ found: field(path, key), known: field(path, known) }];
  });
}

/** A name without case and separators, so that `headDim` and `head-dim` are seen to mean `head_dim`. */
function bare(name: string): string {
  return name.replaceAll(/[_-]/g, "").toLowerCase();
}

function fieldsOf(schema: z.ZodType): Record<string, z.ZodType> | null {
  if (schema instanceof z.ZodObject) return schema.shape as Record<string, z.ZodType>;
  if (
    schema instanceof z.ZodOptional || schema instanceof z.ZodNullable || schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault || schema instanceof z.ZodReadonly
  ) return fieldsOf(schema.unwrap() as z.ZodType);
  if (schema instanceof z.ZodPipe) return fieldsOf(schema.in as z.ZodType);
  return null;
}

function fieldsAt(schema: z.ZodType, path: readonly PropertyKey[]): Record<string, z.ZodType> | null {
  const fields = fieldsOf(schema);
  const [key, ...rest] = path;
  if (key === undefined || fields === null) return fields;
  const inner = fields[String(key)];
  return inner === undefined ? null : fieldsAt(inner, rest);
}
