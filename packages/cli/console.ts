/** Where a run prints to: progress and text for people, and, when asked for, one JSON object for programs. */
import { type Progress, progress, type ProgressStream, standardErrorStream } from "@tessera/text";
import { makeStyles, type Styles } from "./terminal.ts";

/** Where a run prints to. */
export interface CommandConsole {
  /** The columns that a line may take. */
  readonly width: number;
  /** Ways to set text apart. */
  readonly styles: Styles;
  /** Prints lines for people. */
  print(text?: string): void;
  /** Prints lines for people even when quiet. */
  announce(text: string): void;
  /** Shows the progress of some work, of which the first `begin` units, 0 unless given, are done already. */
  progress(label: string, total: number, unit: string, begin?: number): Progress;
}

/** How a run prints. */
export interface ConsoleOptions {
  /** Whether standard output is for a JSON object alone. */
  readonly json: boolean;
  /** Whether only what must be said is printed. */
  readonly quiet: boolean;
}

const [narrowest, widest] = [60, 120];

function columns(): number {
  try {
    return Math.min(widest, Math.max(narrowest, Deno.consoleSize().columns));
  } catch {
    // Not a terminal.
    return 100;
  }
}

/** Opens the terminal, or whatever the program prints to. */
export function openConsole({ json, quiet }: ConsoleOptions): CommandConsole {
  const output = json ? Deno.stderr : Deno.stdout;
  const encoder = new TextEncoder();
  const announce = (text: string) => {
    const bytes = encoder.encode(text + "\n");
    for (let done = 0; done < bytes.length;) done += output.writeSync(bytes.subarray(done));
  };
  const stream: ProgressStream = standardErrorStream();
  return {
    width: columns(),
    styles: makeStyles(output.isTerminal() && !Deno.noColor),
    print: (text = "") => {
      if (!quiet) announce(text);
    },
    announce,
    progress: (label, total, unit, begin = 0) => progress({ label, total, unit, begin, stream, quiet, width: widest }),
  };
}
