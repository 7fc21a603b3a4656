/** How a repository is downloaded, and how that is shown. */
import { formatBytes, listNames, type OptionNames, type Progress, progress, standardErrorStream } from "@tessera/text";
import type { EnvironmentReader, Wait } from "../hub_access.ts";
import type { HubLimits } from "../hub_limits.ts";
import { redactor } from "../hub_secrets.ts";
import type { RepositoryFile } from "../hub_listing.ts";
import type { RepositoryPart } from "./repository_files.ts";

/** A download that is about to begin. */
export interface Download {
  /** The repository, such as `google/gemma-2-9b`. */
  readonly repository: string;
  /** The branch, tag or commit that was asked for. */
  readonly revision: string;
  /** The commit that it leads to. */
  readonly commit: string;
  /** The folder of the cache that the files go to. */
  readonly folder: string;
  /** Whether there is a snapshot of that commit already, which lacks these files. */
  readonly completes: boolean;
  /** The files that are not here yet. */
  readonly files: readonly RepositoryFile[];
  /** The bytes of these files. */
  readonly bytes: number;
  /** How many of these bytes are here from an earlier download. */
  readonly present: number;
}

/** Receives the events of downloads; there are none when nothing is fetched. */
export interface DownloadReporter {
  /** Called before anything large is fetched. */
  begin(download: Download): void;
  /** Called as bytes arrive, with the number that are here and the number in all. */
  progress(done: number, total: number): void;
  /** Called with a sentence when something has been waited for, also before `begin`. */
  waiting?(text: string): void;
  /** Called when it is over, also when it failed. */
  end(): void;
}

/** How a repository is downloaded. */
export interface DownloadOptions {
  /** What is wanted of it; `model` unless given. */
  readonly part?: RepositoryPart;
  /** Called with the folder when all but the weights is there, before these are downloaded; its error ends the download. */
  readonly check?: (folder: string) => Promise<unknown>;
  /** Receives the events; none unless given. */
  readonly reporter?: DownloadReporter | null;
  /** Aborts it; what has arrived stays, and the next download resumes after it. */
  readonly signal?: AbortSignal;
  /** Reads the environment; the process's own unless given. */
  readonly environment?: EnvironmentReader;
  /** Waits between tries; by the clock unless given. */
  readonly wait?: Wait;
  /** The time and size limits of the hub, where they differ from the defaults. */
  readonly limits?: Partial<HubLimits>;
}

/** The names of `DownloadOptions`. */
export const downloadOptionNames: OptionNames<DownloadOptions> = {
  part: true,
  check: true,
  reporter: true,
  signal: true,
  environment: true,
  wait: true,
  limits: true,
};

/** Where a download is shown: a line of text, then, unless it is small, a bar. */
export interface DownloadDisplay {
  /** Prints a line. */
  readonly print: (text: string) => void;
  /** Shows the progress of some work, of which the first `begin` units are done already. */
  readonly progress: (label: string, total: number, unit: string, begin?: number) => Progress;
}

/** What is downloaded, how much of it and where to, in a line. */
export function describeDownload(download: Download): string {
  const { repository, revision, folder, completes, files, bytes, present } = download;
  const at = revision === "main" ? "" : ` at ${revision}`;
  const count = files.length === 1 ? "1 file" : `${files.length} files`;
  const names = completes ? ` (${listNames(files.map(({ name }) => name))})` : "";
  const rest = present === 0 ? "" : `, ${formatBytes(present)} of it here already,`;
  const verb = completes ? "Completing" : "Downloading";
  // The names are the hub's.
  return redactor()(`${verb} ${repository}${at} · ${formatBytes(bytes)} in ${count}${names}${rest} to ${folder}`);
}

/** The bytes from which on a download takes long enough for a bar. */
const leastShown = 2 ** 20;

/** Shows downloads on a display; on standard error unless one is given. */
export function showDownloads(given?: DownloadDisplay): DownloadReporter {
  let bar: Progress | null = null;
  return {
    begin(download) {
      // A browser has no standard error, and no downloads.
      const display = given ?? standardErrorDisplay();
      display.print(describeDownload(download));
      const { bytes, present } = download;
      if (bytes - present >= leastShown) bar = display.progress("Downloading", bytes, "bytes", present);
    },
    progress: (done) => bar?.update(done),
    waiting: (text) => (given ?? standardErrorDisplay()).print(text),
    end() {
      bar?.done();
      bar = null;
    },
  };
}

/** Standard error as a display. */
export function standardErrorDisplay(): DownloadDisplay {
  const stream = standardErrorStream();
  return {
    print: (text) => stream.write(`${text}\n`),
    progress: (label, total, unit, begin = 0) => progress({ label, total, unit, begin, stream }),
  };
}
