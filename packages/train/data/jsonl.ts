/**
 * Reads examples from JSONL files as a stream, so that a file may be larger than memory.
 *
 * Lines are split as bytes and decoded one at a time, which keeps line numbers right and says on which line a file stops
 * being UTF-8.
 */

import { type FileEntry, fileOf, pathBeside } from "@tessera/files";
import { type Example, parseExample } from "./example.ts";

const newline = 10;

/** The lines of a stream as bytes, without their line feeds; at most one chunk and one line are held at a time. */
async function* byteLines(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  let pending: Uint8Array<ArrayBuffer>[] = [];
  for await (const chunk of stream) {
    let start = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      const line = chunk.subarray(start, end);
      yield pending.length === 0 ? line : joinBytes([...pending, line]);
      [pending, start] = [[], end + 1];
    }
    if (start < chunk.length) pending.push(chunk.subarray(start));
  }
  if (pending.length > 0) yield joinBytes(pending);
}

function joinBytes(parts: readonly Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

function parseLine(line: string, number: number, at: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    const isArray = number === 1 && line.trimStart().startsWith("[");
    const hint = isArray ? "; the file looks like one JSON array: write one object per line" : "";
    throw new SyntaxError(`Cannot read ${at}: malformed JSON (${(error as Error).message})${hint}`, { cause: error });
  }
}

/** Reads records from a stream of JSON lines; `name` says in errors where they come from. */
async function* parseStream(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  name: string,
): AsyncGenerator<{ value: unknown; at: string }> {
  // The decoder drops a byte order mark, also one inside a file that was glued together from several.
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let number = 0;
  for await (const bytes of byteLines(stream)) {
    number++;
    const at = `${name}:${number}`;
    let line: string;
    try {
      line = decoder.decode(bytes);
    } catch (error) {
      throw new SyntaxError(`Cannot read ${at}: the line is not UTF-8`, { cause: error });
    }
    if (line.trim() !== "") yield { value: parseLine(line, number, at), at };
  }
}

/**
 * Reads examples from a JSONL file of any size, or from records in memory, one at a time.
 *
 * Blank lines, carriage returns and a byte order mark are skipped; kinds of examples may be mixed.
 *
 * @throws {SyntaxError} when a line is not JSON or not UTF-8; the message has the file and the line.
 * @throws {TypeError} when a record is not an example.
 * @throws {RangeError} when there is not a single example.
 * @throws {Error} when there is no such file.
 */
export async function* readExamples(source: string | FileEntry | Iterable<unknown>): AsyncGenerator<Example> {
  let count = 0;
  const file = typeof source === "string" || "stream" in source ? fileOf(source) : null;
  if (file !== null) {
    for await (const { value, at } of parseStream(await file.stream(), file.path)) {
      count++;
      yield fromFolder(parseExample(value, at), file.path);
    }
  } else {
    for (const value of source as Iterable<unknown>) yield parseExample(value, `examples[${count++}]`);
  }
  if (count > 0) return;
  const what = file !== null ? `"${file.path}" holds no records` : "the list is empty";
  throw new RangeError(`Cannot use an empty data set: ${what}; expected at least one example`);
}

/** An example whose image's path, unless it is absolute, starts at the folder of the JSONL file that names it. */
function fromFolder(example: Example, file: string): Example {
  if (example.kind !== "prompt" || typeof example.image !== "string") return example;
  return { ...example, image: pathBeside(file, example.image) };
}

/**
 * Reads all examples of a JSONL file, or of records in memory, into a list.
 *
 * @throws {Error} as `readExamples` does.
 */
export function loadExamples(source: string | FileEntry | Iterable<unknown>): Promise<Example[]> {
  return Array.fromAsync(readExamples(source));
}
