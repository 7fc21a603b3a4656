/** Errors that programs act on: besides the message for people, each has a code. */

/** Why something could not be obtained from the Hub. */
export type HubErrorCode = "gated" | "unauthorized" | "not-found" | "offline" | "unreachable";

/** A repository, a revision or a file of the Hub that could not be obtained. */
export class HubError extends Error {
  /** Why. */
  readonly code: HubErrorCode;

  /** Makes an error of a code. */
  constructor(message: string, code: HubErrorCode, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Something that is larger than the devices can take. */
export class CapacityError extends RangeError {
  /** Why. */
  readonly code = "capacity";
}

/** A checkpoint that lacks something or holds too much. */
export class CheckpointError extends Error {
  /** Why. */
  readonly code = "bad-checkpoint";
}

/** A checkpoint with a tensor of a wrong shape or dtype. */
export class CheckpointTypeError extends TypeError {
  /** Why. */
  readonly code = "bad-checkpoint";
}

/** A checkpoint whose file is truncated, or whose tensors have invalid offsets. */
export class CheckpointRangeError extends RangeError {
  /** Why. */
  readonly code = "bad-checkpoint";
}

/** Whether work ended because a signal asked for it; what such work throws is the signal's reason. */
export function isCancelled(error: unknown, signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true && error === signal.reason;
}
