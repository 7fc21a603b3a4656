/** How long single tests took, read from what `deno test` prints. */

/** The time of one test. */
export interface TestTime {
  /** The member that the test belongs to, such as `@tessera/core`. */
  readonly member: string;
  /** The name of the test. */
  readonly name: string;
  /** How long it took, as `deno test` rounds it, in milliseconds. */
  readonly ms: number;
}

/** A line of a log in which turbo names the member: `@tessera/core:test: adds ... ok (2ms)`; steps are indented further. */
const testLine = /^(\S+?):test(?::slow)?: (\S.*) \.\.\. (?:.*\s)?(?:ok|FAILED) \(([^()]+)\)$/;

const units: Readonly<Record<string, number>> = { "µs": 1e-3, ms: 1, s: 1e3, m: 6e4, h: 36e5 };

/** Reads a duration as `deno test` writes it, such as `340ms` or `1m12s`, in milliseconds; `NaN` if it is none. */
export function parseDuration(text: string): number {
  if (!/^(?:\d+(?:µs|ms|[smh]))+$/.test(text)) return NaN;
  return [...text.matchAll(/(\d+)(\D+)/g)].reduce((ms, [, count, unit]) => ms + Number(count) * units[unit!]!, 0);
}

/** Reads the times of all tests in a log without colors, in its order. */
export function readTimes(log: string): TestTime[] {
  return log.split("\n").flatMap((line) => {
    const [, member, name, duration] = testLine.exec(line.trimEnd()) ?? [];
    const ms = parseDuration(duration ?? "");
    return Number.isNaN(ms) ? [] : [{ member: member!, name: name!, ms }];
  });
}

/** Lists the slowest tests, one line each under a heading, slowest first; no lines if there are no times. */
export function formatSlowest(times: readonly TestTime[], count: number): string[] {
  const slowest = times.toSorted((a, b) => b.ms - a.ms).slice(0, count);
  const lines = slowest.map(({ member, name, ms }) => `${(ms / 1e3).toFixed(1).padStart(7)} s  ${member}: ${name}`);
  return lines.length === 0 ? [] : ["", "The slowest tests:", ...lines, ""];
}
