/**
 * Helpers that messages and consoles share: nearest names, figures, tables, progress lines and the widths of texts.
 *
 * @module
 */
export {
  CapacityError,
  CheckpointError,
  CheckpointRangeError,
  CheckpointTypeError,
  HubError,
  isCancelled,
} from "./errors.ts";
export type { HubErrorCode } from "./errors.ts";
export { didYouMean, listNames } from "./name_hints.ts";
export { editDistance, nearestName } from "./nearest.ts";
export { formatBytes, formatCount, formatDuration, formatNumber } from "./numbers.ts";
export { checkOptions, pickOptions } from "./options.ts";
export type { OptionNames } from "./options.ts";
export { progress, renderProgress, standardErrorStream } from "./progress.ts";
export type { Progress, ProgressFields, ProgressOptions, ProgressState, ProgressStream } from "./progress.ts";
export { formatTable } from "./table.ts";
export type { Column, TableOptions } from "./table.ts";
export { displayWidth, fitText } from "./width.ts";
export type { WorkListener, WorkPhase, WorkProgress } from "./work.ts";
