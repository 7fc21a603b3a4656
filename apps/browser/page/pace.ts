/** How fast work goes, and how long it will take. */
import { formatDuration } from "@tessera/text";

/** Measures the pace of work in equal steps; the first step, which prepares the programs, does not count. */
export class Pace {
  #parts = 0;
  #amount = 0;
  #begin = 0;
  #now = 0;

  /** Adds a finished step, with the amount of work in it, at a time in milliseconds. */
  add(amount: number, now: number): void {
    if (this.#parts++ === 0) this.#begin = now;
    else this.#amount += amount;
    this.#now = now;
  }

  /** The pace and the time left for `left` steps, as text; empty before there are two steps. */
  describe(left: number, unit: string): string {
    const [parts, seconds] = [this.#parts - 1, (this.#now - this.#begin) / 1000];
    if (parts < 1 || seconds <= 0) return "";
    const rate = parts / seconds;
    const each = rate >= 1 ? `${rate.toFixed(1)} ${unit}s/s` : `${(1 / rate).toFixed(1)} s per ${unit}`;
    const remaining = left > 0 ? ` · ${formatDuration(left / rate)} left` : "";
    return `${each} · ${Math.round(this.#amount / seconds).toLocaleString("en-US")} tokens/s${remaining}`;
  }
}
