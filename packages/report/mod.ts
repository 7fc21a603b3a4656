/**
 * The report of a fine-tuning run: one HTML page that needs nothing else, and the charts that it shares with a live page.
 *
 * @module
 */
export { describeMesh } from "./mesh_text.ts";
export { readReportImages, type ReportImage, type ReportImages } from "./images.ts";
export type {
  DataFacts,
  Environment,
  Generation,
  HeldOutPoint,
  MeshFacts,
  ModelFacts,
  Plan,
  ReportedJob,
  RunRecord,
  SavedFiles,
  Score,
  StepRecord,
  TrainingFacts,
  VariableLayout,
} from "./record.ts";
export { renderReport } from "./report.ts";
