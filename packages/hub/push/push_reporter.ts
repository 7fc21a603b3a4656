/** How a push is shown. */
import type { Progress } from "@tessera/text";
import { type DownloadDisplay, standardErrorDisplay } from "../download/download_options.ts";
import type { UploadProgress } from "./upload_commit.ts";

/** Receives the events of a push. */
export interface PushReporter {
  /** Called as the work proceeds; not at all where there are no large files. */
  progress(state: UploadProgress): void;
  /** Called with a sentence when something has been waited for. */
  waiting?(text: string): void;
  /** Called when it is over, also when it failed. */
  end(): void;
}

const labels: Readonly<Record<UploadProgress["phase"], string>> = { hash: "Reading", upload: "Uploading" };

/** Shows pushes on a display, a bar for each part of the work; on standard error unless one is given. */
export function showPushes(
  display: Pick<DownloadDisplay, "progress"> & Partial<DownloadDisplay> = standardErrorDisplay(),
): PushReporter {
  let bar: Progress | null = null;
  let shown: UploadProgress["phase"] | null = null;
  return {
    progress({ phase, done, total }) {
      if (phase !== shown) {
        bar?.done();
        bar = display.progress(labels[phase], total, "bytes");
        shown = phase;
      }
      bar?.update(done);
    },
    waiting: (text) => display.print?.(text),
    end() {
      bar?.done();
      [bar, shown] = [null, null];
    },
  };
}
