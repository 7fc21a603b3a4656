/** How a job shows what it downloads. */
import type { CommandConsole } from "@tessera/cli";
import { type DownloadReporter, showDownloads } from "@tessera/hub";

/** Shows downloads on the console, and what becomes of one that Ctrl-C ends. */
export function downloadsOn(console: CommandConsole, signal: AbortSignal): DownloadReporter {
  const shown = showDownloads(console);
  return {
    ...shown,
    end() {
      shown.end();
      if (signal.aborted) console.print("What was downloaded is kept; the same command resumes it.");
    },
  };
}
