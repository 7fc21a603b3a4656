/** Runs a program's threads one after the other, each until all of its group wait, and refuses what would go wrong on some GPU. */

import { bitcast, type Cell, conversions, functions, lift, mixed } from "./arithmetic.ts";
import { outlineArray, type ProgramArray, SharedArray } from "./memory.ts";
import { wordsOfType } from "./builtins.ts";
import type { Translation } from "./translate.ts";

const atomic = (name: string, change: (old: number, x: number) => number) => ({
  [name]: (array: SharedArray, x: number) => void (array.words[0] = change(array.words[0]!, x)),
});

/** What translated programs call. */
const runtime = {
  functions,
  lifted: Object.fromEntries(Object.entries(functions).map(([name, of]) => [name, lift(of)])),
  conversions,
  mixed,
  bitcast,
  whole: (x: number) => x | 0,
  product: Math.imul,
  next: (at: number, step: number, _limit: number) => at + step,
  splat: (x: number, count: number) => count === 4 ? [x, x, x, x] : Array(count).fill(x),
  negate: lift((x: number) => -x),
  part(vector: readonly (number | boolean)[], at: number) {
    if (!(at >= 0 && at < vector.length)) throw new Error(`Component ${at} of a vector of ${vector.length}`);
    return vector[at]!;
  },
  *uniformLoad(array: SharedArray, thread: number, barrier: number): Generator<number, Cell> {
    yield barrier;
    const value = array.read(0, thread);
    yield barrier - 1;
    return value;
  },
  ...atomic("atomicStore", (_, x) => x),
  ...atomic("atomicMin", Math.min),
  ...atomic("atomicMax", Math.max),
  atomicLoad: (array: SharedArray) => array.words[0]!,
};

function requireWhole(x: number): number {
  if (x !== (x | 0)) throw new RangeError(`${x} is no i32`);
  return x;
}

/** The same where nothing is computed but places: none may be beyond an i32, and of a loop only the first and the last round count. */
const outlineRuntime: typeof runtime = {
  ...runtime,
  whole: requireWhole,
  product: (a, b) => requireWhole(a * b),
  next: (at, step, limit) => at + step < limit ? at + Math.floor((limit - 1 - at) / step) * step : at + step,
};

/** Where a thread is: what its builtins say. */
interface Thread {
  /** Its number among all threads. */
  readonly id: number;
  /** Its number in its group. */
  readonly localIndex: number;
  /** Its group. */
  readonly group: readonly [number, number, number];
}

/** Starts a thread at `main`; a program that waits gives where. */
type Start = (thread: Thread, argument: number) => Iterator<number> | void;

/** What threads are run on. */
export interface Dispatch {
  /** The program. */
  readonly translation: Translation;
  /** Arrays that all threads share. */
  readonly arrays: Readonly<Record<string, ProgramArray>>;
  /** Numbers. */
  readonly uniforms: Readonly<Record<string, number>>;
  /** How many groups there are along each axis. */
  readonly groups: readonly [number, number, number];
  /** How many threads a group has. */
  readonly groupSize: number;
  /** Whether nothing is computed but places, in some of the groups. */
  readonly outline?: boolean;
}

/** What WebGPU promises of every GPU. */
const [mostGroups, mostThreads, mostSharedBytes] = [65535, 256, 16384];

/** What memory that nobody wrote holds. */
const garbage = 0x5bad5bad;

/** Runs a program. */
export function runThreads(dispatch: Dispatch): void {
  const { translation, arrays, uniforms, groups, groupSize, outline = false } = dispatch;
  const { constants, shared, own, waits } = translation;
  if (groups.some((count) => count > mostGroups)) throw new RangeError(`${groups.join(" × ")} groups are too many`);
  if (groupSize > mostThreads) throw new RangeError(`${groupSize} threads are too many for a group`);
  const names = Object.keys(arrays);
  const make = new Function(
    "rt",
    "share",
    "uniforms",
    ...names.map((name) => `$${name}`),
    `"use strict";
${constants.join("\n")}
${shared.map(({ name, length, type }) => `const $${name} = share("${name}", ${length}, "${type}");`).join("\n")}
return () => {
  let me = 0, $localIndex = 0, $workgroupId = [0, 0, 0];
  ${own.join("\n")}
  return (thread, argument) => {
    me = thread.id; $localIndex = thread.localIndex; $workgroupId = thread.group;
    return $main(argument);
  };
};`,
  );
  const [local, atomics]: [SharedArray[], SharedArray[]] = [[], []];
  let sharedBytes = 0;
  const share = (name: string, length: number, type: string) => {
    const words = length * wordsOfType(type);
    sharedBytes += Math.ceil(words / 4) * 16;
    if (outline && length > 1) return outlineArray(name, length, wordsOfType(type));
    const content = type.includes("i32") ? new Int32Array(words) : new Float32Array(words);
    const array = new SharedArray(name, content, wordsOfType(type));
    (type.startsWith("atomic") ? atomics : local).push(array);
    return array;
  };
  const factory = make(outline ? outlineRuntime : runtime, share, uniforms, ...Object.values(arrays)) as () => Start;
  if (sharedBytes > mostSharedBytes) throw new RangeError(`${sharedBytes} bytes are too many for a group to share`);
  const starts = Array.from({ length: waits ? groupSize : 1 }, factory);
  const count = groups[0] * groups[1] * groups[2];
  const some = new Set([0, 1, count >> 1, count - 2, count - 1].filter((group) => group >= 0 && group < count));
  for (const group of outline ? some : Array(count).keys()) {
    const place = [
      group % groups[0],
      Math.floor(group / groups[0]) % groups[1],
      Math.floor(group / groups[0] / groups[1]),
    ] as const;
    local.forEach((array) => array.forget());
    atomics.forEach((array) => array.words.fill(garbage));
    const running = Array.from({ length: groupSize }, (_, localIndex) => {
      const id = group * groupSize + localIndex;
      return (waits ? starts[localIndex]! : starts[0]!)({ id, localIndex, group: place }, id);
    });
    if (waits) together(running as Iterator<number>[], () => local.forEach((array) => array.pass()));
  }
}

/** Lets threads run from barrier to barrier, in one order and then in the other. */
function together(threads: readonly Iterator<number>[], pass: () => void): void {
  for (let round = 0;; round++) {
    const order = round % 2 === 0 ? threads : threads.toReversed();
    const stops = new Set(order.map((thread) => {
      const { done, value } = thread.next();
      return done ? "the end" : `barrier ${value}`;
    }));
    if (stops.size > 1) throw new Error(`Threads of a group wait for each other at ${[...stops].join(" and at ")}`);
    if (stops.has("the end")) return;
    pass();
  }
}
