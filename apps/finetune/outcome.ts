/** What a person reads about the outcome of a run: scores, answers, and where the results are. */
import { formatBytes, formatCount, formatDuration, formatNumber } from "tessera";
import type { Config } from "./config.ts";
import { type Console, formatFacts } from "@tessera/cli";
import type { Question } from "./data.ts";
import type { Scored } from "./evaluation.ts";
import { outputNames } from "./output_folder.ts";
import type { RunRecord, SavedFiles, Score } from "./record.ts";
import { formatAnswer } from "./answers.ts";

/** What scores say to people, the earlier before the later. */
function describeScores(scores: readonly Score[]): [label: string, value: string][] {
  const values = (text: (score: Score) => string) => scores.map(text).join(" → ");
  const { exactMatch, boxes } = scores.at(-1)!;
  const percent = (share: number | undefined) => `${((share ?? 0) * 100).toFixed(1)} %`;
  const facts: [label: string, value: string][] = [];
  if (exactMatch) {
    const counts = `${formatCount(exactMatch.right)} of ${formatCount(exactMatch.total)} answers`;
    facts.push(["Exact match", `${values((score) => percent(score.exactMatch?.share))} · ${counts}`]);
  }
  if (boxes) {
    const count = `mean of ${formatCount(boxes.total)} boxes, intersection over union`;
    facts.push(["Box overlap", `${values((score) => percent(score.boxes?.overlap))} · ${count}`]);
  }
  return [
    ...facts,
    ["Loss", `${values(({ loss }) => formatNumber(loss))} per token`],
    ["Tokens", `${values(({ tokenAccuracy }) => percent(tokenAccuracy))} predicted right`],
  ];
}

/** Prints scores under a title, the earlier before the later. */
export function printScores(title: string, scored: readonly Scored[], console: Console): void {
  console.print(`\n${console.styles.bold(title)}`);
  console.print(formatFacts(describeScores(scored.map(({ score }) => score)), console.width, console.styles));
}

/** Prints the first prompts with their answers, by when they were given. */
export function printAnswers(
  questions: readonly Question[],
  scored: readonly (readonly [when: string, scored: Scored])[],
  { evaluation }: Config,
  { print, width, styles }: Console,
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
  console: Console,
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
