/** What a run measured and made: the contents of `metrics.json`, from which the report is written. */
import type { RunRecord as ReportedRun } from "@tessera/report";
import type { Config } from "../job/config.ts";

export type {
  DataFacts,
  Environment,
  Generation,
  HeldOutPoint,
  MeshFacts,
  Plan,
  SavedFiles,
  Score,
  TrainingFacts,
} from "@tessera/report";

/** Everything that a run of this command line measured. */
export type RunRecord = ReportedRun<Config>;
