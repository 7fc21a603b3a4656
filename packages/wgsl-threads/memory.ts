/** Memory that several threads share, and that notices when they do so without agreeing on an order. */

import type { Cell } from "./arithmetic.ts";

/** What words are read as. */
export type Words = Float32Array | Int32Array;

/** An array as programs use it. */
export interface ProgramArray {
  /** The words, where there are any. */
  readonly words: Words;
  /** How many elements it has. */
  readonly length: number;
  /** The element at a place, for a thread. */
  read(at: number, thread: number): Cell;
  /** Writes an element, for a thread. */
  write(at: number, value: Cell, thread: number): void;
  /** Writes a component of an element, for a thread. */
  writePart(at: number, part: number, value: number, thread: number): void;
}

function checkPlace(name: string, at: number, length: number): void {
  if (!(at >= 0 && at < length)) throw new RangeError(`${name}[${at}] is outside: it has ${length} elements`);
}

/** An array of any length that holds only zeros and checks only whether indices are in bounds. */
export function outlineArray(name: string, length: number, width: number): ProgramArray {
  const zero = width === 1 ? 0 : new Array<number>(width).fill(0);
  const check = (at: number) => checkPlace(name, at, length);
  return { words: new Int32Array(), length, read: (at) => (check(at), zero), write: check, writePart: check };
}

/** An array that nobody writes: it does not matter who reads it. */
export function constantArray(name: string, words: Words, width: number): ProgramArray {
  const length = Math.floor(words.length / width);
  const refuse = (at: number) => {
    throw new TypeError(`Cannot write ${name}[${at}]: programs only read it`);
  };
  const read = (at: number) => {
    checkPlace(name, at, length);
    return width === 1 ? words[at]! : [...words.subarray(at * width, (at + 1) * width)];
  };
  return { words, length, read, write: refuse, writePart: refuse };
}

/** In place of one reader, when there were several. */
const several = -1;

/**
 * An array in the memory of a group of threads, or of all of them, that knows who used each element since they all waited for
 * each other. An element that is a vector is one place: writing a component may write all of them (gpuweb issue 2112).
 */
export class SharedArray implements ProgramArray {
  /** The words. */
  readonly words: Words;
  /** How many elements it has. */
  readonly length: number;
  #name: string;
  #width: number;
  /** Who wrote and who read each element, and when. */
  #writer: Int32Array;
  #wrote: Int32Array;
  #reader: Int32Array;
  #read: Int32Array;
  /** When each element was first written, to catch reads of what nobody wrote. */
  #filled: Int32Array | null = null;
  #group = 0;
  #now = 1;

  /** An array whose elements have some words each. */
  constructor(name: string, words: Words, width: number) {
    this.#name = name;
    this.#width = width;
    this.words = words;
    this.length = Math.floor(words.length / width);
    [this.#writer, this.#wrote, this.#reader, this.#read] = [1, 2, 3, 4].map(() => new Int32Array(this.length)) as [
      Int32Array,
      Int32Array,
      Int32Array,
      Int32Array,
    ];
  }

  /** All threads waited for each other. */
  pass(): void {
    this.#now++;
  }

  /** Another group of threads begins: nothing here is known. */
  forget(): void {
    this.#now++;
    this.#group++;
    this.#filled ??= new Int32Array(this.length);
  }

  /** The element at a place, for a thread. */
  read(at: number, thread: number): Cell {
    checkPlace(this.#name, at, this.length);
    if (this.#filled !== null && this.#filled[at] !== this.#group) {
      throw new Error(`Thread ${thread} reads ${this.#name}[${at}], which nobody wrote`);
    }
    if (this.#wrote[at] === this.#now && this.#writer[at] !== thread) this.#refuse("reads", at, thread);
    if (this.#read[at] !== this.#now) [this.#read[at], this.#reader[at]] = [this.#now, thread];
    else if (this.#reader[at] !== thread) this.#reader[at] = several;
    const { words } = this;
    if (this.#width === 1) return words[at]!;
    const start = at * this.#width;
    return this.#width === 4
      ? [words[start]!, words[start + 1]!, words[start + 2]!, words[start + 3]!]
      : [...words.subarray(start, start + this.#width)];
  }

  /** Writes an element, for a thread. */
  write(at: number, value: Cell, thread: number): void {
    this.#use(at, thread);
    if (this.#width === 1) this.words[at] = value as number;
    else this.words.set(value as number[], at * this.#width);
  }

  /** Writes a component of an element, for a thread. */
  writePart(at: number, part: number, value: number, thread: number): void {
    this.#use(at, thread);
    this.words[at * this.#width + part] = value;
  }

  /** The first place that was never written; -1 when there is none. */
  unwritten(): number {
    return this.#wrote.indexOf(0);
  }

  #use(at: number, thread: number): void {
    checkPlace(this.#name, at, this.length);
    if (this.#wrote[at] === this.#now && this.#writer[at] !== thread) this.#refuse("writes", at, thread);
    if (this.#read[at] === this.#now && this.#reader[at] !== thread) this.#refuse("writes", at, thread);
    [this.#wrote[at], this.#writer[at]] = [this.#now, thread];
    if (this.#filled !== null) this.#filled[at] = this.#group;
  }

  #refuse(use: "reads" | "writes", at: number, thread: number): never {
    const other = this.#wrote[at] === this.#now ? this.#writer[at]! : this.#reader[at]!;
    const who = other === several
      ? "several others read"
      : `thread ${other} ${other === this.#writer[at] ? "wrote" : "read"}`;
    throw new Error(`Race: thread ${thread} ${use} ${this.#name}[${at}], which ${who} with no barrier in between`);
  }
}
