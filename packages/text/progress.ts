/**
 * A progress line for long work: on a terminal a bar that redraws in place, elsewhere (a log file, CI) a plain line from time
 * to time.
 *
 * `renderProgress` is pure and decides what fits; `progress` keeps the clock and writes. Each frame hides the cursor,
 * draws and shows it again in a single write, so that a killed process never leaves the terminal without a cursor.
 */

import { formatBytes, formatCount, formatDuration, formatNumber } from "./numbers.ts";
import { displayWidth, fitText } from "./width.ts";

/** Values shown beside the bar, in order; numbers are rounded to four digits. */
export type ProgressFields = Readonly<Record<string, number | string>>;

/** What a progress line shows. */
export interface ProgressState {
  /** What the work is, such as `Epoch 1/3`. */
  readonly label: string;
  /** The units done so far. */
  readonly done: number;
  /** The units in all; `null` when not known. */
  readonly total: number | null;
  /** What is counted, in the plural, such as `steps`; `bytes` are written as `1.50 MiB`. */
  readonly unit: string;
  /** Time since the start, in seconds. */
  readonly elapsed: number;
  /** Recent speed, in units per second; `null` before it can be known. */
  readonly rate: number | null;
  /** Further values, such as the loss. */
  readonly fields: ProgressFields;
}

const widestBar = 30;
const narrowestBar = 8;
const separator = " · ";

function drawBar(fraction: number, width: number): string {
  const full = Math.floor(fraction * width);
  return "█".repeat(full) + "░".repeat(width - full);
}

function timeText({ done, total, rate, elapsed }: ProgressState): string {
  if (total !== null && done >= total) return `in ${formatDuration(elapsed)}`;
  if (total === null || rate === null || rate <= 0) return `${formatDuration(elapsed)} so far`;
  return `${formatDuration((total - done) / rate)} left`;
}

/**
 * One line of progress, at most `width` terminal columns wide.
 *
 * What does not fit is left out whole, the speed first, then fields from the last to the first, then the time, then the
 * count; the label, the percentage and the bar stay longest.
 */
export function renderProgress(state: ProgressState, width: number): string {
  const { label, done, total, unit, rate, fields } = state;
  const fraction = total === null ? null : total > 0 ? Math.min(1, Math.max(0, done / total)) : 1;
  const percent = fraction === null ? "" : `${Math.floor(fraction * 100)}%`.padStart(4);
  // Bytes bring their units with them.
  const isBytes = unit === "bytes";
  const amount = isBytes ? formatBytes : formatCount;
  const count = total === null ? amount(done) : `${amount(done)}/${amount(total)}`;
  const candidates = [
    isBytes ? count : `${count} ${unit}`,
    timeText(state),
    ...Object.entries(fields).map(([name, value]) =>
      `${name} ${typeof value === "number" ? formatNumber(value) : value}`
    ),
    ...(rate === null ? [] : [isBytes ? `${formatBytes(rate)}/s` : `${formatNumber(rate)} ${unit}/s`]),
  ];
  const head = [label, percent.trimStart() && percent].filter((part) => part !== "").join(" ");
  const barRoom = fraction === null ? 0 : narrowestBar + 1;
  let room = width - displayWidth(head) - barRoom;
  const details: string[] = [];
  for (const candidate of candidates) {
    // The first detail follows a space or the bar, the others a separator.
    const needed = displayWidth(candidate) + (details.length === 0 ? 1 : separator.length);
    if (needed > room) break;
    details.push(candidate);
    room -= needed;
  }
  const hasBar = fraction !== null && room >= 0;
  const bar = hasBar ? drawBar(fraction, Math.min(widestBar, narrowestBar + room)) : "";
  return fitText([head, bar, details.join(separator)].filter((part) => part !== "").join(" "), width);
}

/** Where a progress line is written. */
export interface ProgressStream {
  /** Writes text at once. */
  write(text: string): void;
  /** Tells whether a line can be redrawn in place. */
  readonly isTerminal: boolean;
  /** The current width of the terminal, in columns. */
  columns(): number;
}

/** What a progress line is about and where it goes. */
export interface ProgressOptions {
  /** The units of work in all; `null` when not known. */
  readonly total: number | null;
  /** What the work is, such as `Epoch 1/3`. */
  readonly label: string;
  /** What is counted, in the plural, such as `steps`. */
  readonly unit: string;
  /** The units that were done before it started; 0 when absent. */
  readonly begin?: number;
  /** Where it is written; standard error when absent. */
  readonly stream?: ProgressStream;
  /** The most columns to use; the terminal's width, or 120 elsewhere, when absent. */
  readonly width?: number;
  /** Writes nothing at all when true. */
  readonly quiet?: boolean;
  /** The time in milliseconds from any origin; the system's when absent. */
  readonly now?: () => number;
}

/** A progress line being shown. */
export interface Progress {
  /** Says how many units are done in all, and what to show beside the bar. */
  update(done: number, fields?: ProgressFields): void;
  /** Writes a line of text above the bar. */
  print(text: string): void;
  /** Draws the last state and ends the line; further calls do nothing. */
  done(): void;
}

/** Standard error as a place for progress lines; never a terminal where the environment says it cannot redraw. */
export function standardErrorStream(): ProgressStream {
  const { stderr, env } = globalThis.process;
  return {
    write: (text) => void stderr.write(text),
    isTerminal: stderr.isTTY === true && env["TERM"] !== "dumb",
    columns: () => stderr.columns ?? 80,
  };
}

const redrawInterval = 50;
const lineInterval = 5_000;
const slowLineInterval = 60_000;
const rateWindow = 30_000;

/** A function from (time, units done) to the speed over the last half minute, in units per second. */
function rateMeter(start: number, begin: number): (now: number, done: number) => number | null {
  const samples: { now: number; done: number }[] = [];
  return (now, done) => {
    const last = samples.at(-1);
    if (done > begin && done !== last?.done) samples.push({ now, done });
    while (samples.length > 2 && samples[1]!.now < now - rateWindow) samples.shift();
    const first = samples[0];
    if (!first) return null;
    // The first unit is often slow (it compiles a program), so it counts only while there is nothing else.
    const [since, count] = samples.length > 1 ? [first.now, done - first.done] : [start, done - begin];
    return now > since && count > 0 ? count / ((now - since) / 1000) : null;
  };
}

/** Shows the progress of long work, starting now. */
export function progress(options: ProgressOptions): Progress {
  const { total, label, unit, begin = 0, quiet = false, now = () => performance.now() } = options;
  if (quiet) return { update: () => {}, print: () => {}, done: () => {} };
  const stream = options.stream ?? standardErrorStream();
  const start = now();
  const measure = rateMeter(start, begin);
  let state: ProgressState = { label, done: begin, total, unit, elapsed: 0, rate: null, fields: {} };
  let [drawnAt, drawnDone, ended] = [-Infinity, 0, false];

  function draw(end: string): void {
    // A terminal wraps when its last column is filled, so that one stays free.
    const width = stream.isTerminal ? Math.min(options.width ?? Infinity, stream.columns() - 1) : options.width ?? 120;
    const line = renderProgress(state, width);
    stream.write(stream.isTerminal ? `\x1b[?25l\r${line}\x1b[K${end}\x1b[?25h` : `${line}\n`);
    [drawnAt, drawnDone] = [now(), state.done];
  }

  function isDue(): boolean {
    const waited = now() - drawnAt;
    if (stream.isTerminal) return waited >= redrawInterval;
    const moved = total !== null && state.done - drawnDone >= total / 100;
    return waited >= (moved ? lineInterval : slowLineInterval);
  }

  return {
    update(done, fields = {}) {
      if (ended) return;
      const time = now();
      state = { ...state, done, fields, elapsed: (time - start) / 1000, rate: measure(time, done) };
      if (isDue()) draw("");
    },
    print(text) {
      stream.write(stream.isTerminal && !ended ? `\r\x1b[K${text}\n` : `${text}\n`);
      if (stream.isTerminal && !ended) draw("");
    },
    done() {
      if (ended) return;
      ended = true;
      state = { ...state, elapsed: (now() - start) / 1000 };
      draw("\n");
    },
  };
}
