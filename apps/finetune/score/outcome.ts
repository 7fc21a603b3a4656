/** What a person reads about the outcome of a run: scores, answers, and where the results are. */
import { type CommandConsole, formatFacts } from "@tessera/cli";
import { formatBytes, formatCount, formatDuration, formatNumber } from "@tessera/text";
import type { Config } from "../job/config.ts";
import type { Question } from "./data.ts";
import type { Scored } from "./evaluation.ts";
import { outputNames } from "../run/output_folder.ts";
import type { RunRecord, SavedFiles, Score } from "../run/record.ts";
import { formatAnswer } from "./answers.ts";

/** One measure of a model, at several times. */
export interface ScoreRow {
  /** What is measured. */
  readonly label: string;
  /** Its values, the earlier first. */
  readonly values: readonly string[];
  /** What a value is of, such as `per token`; nothing where the label says it. */
  readonly unit?: string;
  /** What the last value was counted from. */
  readonly note?: string;
}

/** What scores say to people, the earlier first. */
export function scoreRows(scores: readonly Score[]): ScoreRow[] {
  const { exactMatch, boxes } = scores.at(-1)!;
  const percent = (share: number | undefined) => `${((share ?? 0) * 100).toFixed(1)} %`;
  return [
    ...(exactMatch
      ? [{
        label: "Exact match",
        values: scores.map((score) => percent(score.exactMatch?.share)),
        note: `${formatCount(exactMatch.right)} of ${formatCount(exactMatch.total)} answers`,
      }]
      : []),
    ...(boxes
      ? [{
        label: "Box overlap",
        values: scores.map((score) => percent(score.boxes?.overlap)),
        note: `mean of ${formatCount(boxes.total)} boxes, intersection over union`,
      }]
      : []),
    { label: "Loss", values: scores.map(({ loss }) => formatNumber(loss)), unit: "per token" },
    { label: "Tokens", values: scores.map(({ tokenAccuracy }) => percent(tokenAccuracy)), unit: "predicted right" },
  ];
}

function describeScores(scores: readonly Score[]): (readonly [label: string, value: string])[] {
  return scoreRows(scores).map(({ label, values, unit, note }) => {
    const value = values.join(" → ") + (unit === undefined ? "" : ` ${unit}`) +
      (note === undefined ? "" : ` · ${note}`);
    return [label, value];
  });
}

/** Prints scores under a title, the earlier before the later. */
export function printScores(title: string, scored: readonly Scored[], console: CommandConsole): void {
  console.print(`\n${console.styles.bold(title)}`);
  console.print(formatFacts(describeScores(scored.map(({ score }) => score)), console.width, console.styles));
}

/** Prints the first prompts with their answers, by when they were given. */
export function printAnswers(
  questions: readonly Question[],
  scored: readonly (readonly [when: string, scored: Scored])[],
  { evaluation }: Config,
  { print, width, styles }: CommandConsole,
): void {
  for (const [i, { prompt, expected }] of questions.slice(0, evaluation.samples).entries()) {
    const answers = scored.map(([when, { answers }]) => [when, answers[i]!] as const);
    print();
    print(formatAnswer({ prompt, expected, answers }, width, styles));
  }
}

const explained: Readonly<Record<SavedFiles["kind"], string>> = {
  adapter: "the adapter, as PEFT reads it",
  model: "the whole model, as Transformers reads it",
};

/** Prints where the results are, and what the run took. */
export function printResults(
  { saved, seconds, peakMemoryBytes, training: { resumedAfter } }: RunRecord,
  output: string,
  console: CommandConsole,
): void {
  console.print(`\n${console.styles.bold("Results")} in ${output}`);
  console.print(formatFacts(
    [
      [`${outputNames[saved.kind]}/`, `${explained[saved.kind]} · ${formatBytes(saved.bytes)}`],
      [outputNames.report, "what happened, with curves and answers: open it in a browser"],
      [outputNames.metrics, "everything measured"],
      [outputNames.config, "the job, to run again with --config"],
    ],
    console.width,
    console.styles,
  ));
  const since = resumedAfter.length === 0 ? "" : ` since it was resumed`;
  console.print(`\nTook ${formatDuration(seconds)}${since} · peak memory ${formatBytes(peakMemoryBytes)}`);
}

/** Prints the command that resumes a run, where it is not over. */
export function printResume(command: string | null, { print, styles }: CommandConsole): void {
  if (command !== null) print(`\nResume with: ${styles.bold(command)}`);
}
