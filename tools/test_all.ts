/**
 * Runs the tests of every package through turbo and sums what they report: `deno task test`.
 *
 * turbo prints each package's own summary and no total. This prints one closing line, `12 passed, 0 failed`, and fails
 * when a test fails, when none ran, or, where `CI` is set, when one was ignored. Arguments go to turbo, so
 * `deno task test --filter=@tessera/core` runs one package.
 */

/** How many tests there were, by outcome. */
export interface Tally {
  /** Tests that passed. */
  readonly passed: number;
  /** Tests that failed. */
  readonly failed: number;
  /** Tests that are marked to be ignored. */
  readonly ignored: number;
}

// deno-lint-ignore no-control-regex -- terminal colours start with the escape character
const colour = /\x1b\[[\d;]*m/g;
const summary = /\b(?:ok|FAILED) \| (\d+) passed(?: \([^)]*\))? \| (\d+) failed(?: \([^)]*\))?(?: \| (\d+) ignored)?/;

/** Sums the closing lines of all `deno test` runs in a log. */
export function tally(log: string): Tally {
  const total = { passed: 0, failed: 0, ignored: 0 };
  for (const line of log.replace(colour, "").split("\n")) {
    const [, passed, failed, ignored] = summary.exec(line) ?? [];
    total.passed += Number(passed ?? 0);
    total.failed += Number(failed ?? 0);
    total.ignored += Number(ignored ?? 0);
  }
  return total;
}

/** Says why a run does not count as a success, or returns `null` if it does. `strict` refuses ignored tests. */
export function verdict({ passed, failed, ignored }: Tally, turboSucceeded: boolean, strict: boolean): string | null {
  if (failed > 0) return "Tests failed";
  if (!turboSucceeded) return "A package could not be tested; turbo says why above";
  if (passed === 0) return "No tests ran";
  if (strict && ignored > 0) return `CI allows no ignored tests: found ${ignored}`;
  return null;
}

/**
 * Drops turbo's warning that it found no lock file of npm: `deno.lock` is the lock file, and `turbo.json` makes it an
 * input of every task (`docs/decisions/0003`). The warning runs to the next empty line.
 */
export function createLineFilter(): (line: string) => boolean {
  let dropping = false;
  return (line) => {
    const text = line.replace(colour, "").trim();
    if (/^WARNING .* attempting to parse .*package-lock\.json\b/.test(text)) dropping = true;
    else if (text === "") dropping = false;
    return !dropping;
  };
}

/** Copies the lines that a filter keeps to a stream of this process, and returns all of them. */
async function relay(from: ReadableStream<Uint8Array>, to: typeof Deno.stdout): Promise<string> {
  const [encoder, keep] = [new TextEncoder(), createLineFilter()];
  let [log, rest] = ["", ""];
  for await (const chunk of from.pipeThrough(new TextDecoderStream())) {
    log += chunk;
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (keep(line)) to.writeSync(encoder.encode(line + "\n"));
  }
  if (rest && keep(rest)) to.writeSync(encoder.encode(rest));
  return log;
}

async function main(): Promise<number> {
  const colours = Deno.stdout.isTerminal() && !Deno.noColor;
  const turbo = new Deno.Command(Deno.build.os === "windows" ? "turbo.cmd" : "turbo", {
    args: ["run", "test", "--continue", ...Deno.args],
    env: {
      DENO_NO_UPDATE_CHECK: "1",
      DO_NOT_TRACK: "1",
      npm_config_loglevel: "silent",
      ...(colours ? { FORCE_COLOR: "1" } : { NO_COLOR: "1" }),
    },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const [log, , { success }] = await Promise.all([
    relay(turbo.stdout, Deno.stdout),
    relay(turbo.stderr, Deno.stderr),
    turbo.status,
  ]);
  const total = tally(log);
  const problem = verdict(total, success, Boolean(Deno.env.get("CI")));
  if (problem) console.error(problem);
  console.log(`${total.passed} passed, ${total.failed} failed`);
  return problem ? 1 : 0;
}

if (import.meta.main) Deno.exit(await main());
