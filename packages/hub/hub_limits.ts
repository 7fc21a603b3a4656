/** How long and how much a hub may take: nothing that a server does keeps a program for ever, or fills its memory. */

/** The limits of requests to a hub. */
export interface HubLimits {
  /** The milliseconds without a byte of a body after which its connection counts as dropped. */
  readonly idleMs: number;
  /** The milliseconds that any body may take, beside those for its size. */
  readonly graceMs: number;
  /** The bytes per second that a body must come with in the long run. */
  readonly bytesPerSecond: number;
  /** The milliseconds that one request may wait in all because the hub is busy. */
  readonly waitMs: number;
  /** The milliseconds of waiting after which that is said. */
  readonly wordMs: number;
  /** The bytes of an answer, decompressed: one page of a listing, or a model card. */
  readonly answerBytes: number;
  /** The pages of a listing. */
  readonly listingPages: number;
  /** The files of a listing. */
  readonly listingFiles: number;
  /** The bytes of a file that is no weights: these are read into memory whole. */
  readonly textBytes: number;
}

/** The limits that hold unless others are given; the slowest line that ends is that of a modem. */
export const hubLimits: HubLimits = {
  idleMs: 30_000,
  graceMs: 120_000,
  bytesPerSecond: 4096,
  waitMs: 300_000,
  wordMs: 5_000,
  answerBytes: 32 * 2 ** 20,
  listingPages: 1000,
  listingFiles: 100_000,
  textBytes: 256 * 2 ** 20,
};

/** The milliseconds in which so many bytes must have come or gone. */
export function timeFor(bytes: number, { graceMs, bytesPerSecond }: HubLimits): number {
  return graceMs + bytes / bytesPerSecond * 1000;
}
