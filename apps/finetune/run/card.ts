/** What the model card of a run's results says about the run; paths, prompts and answers stay on this machine. */
import type { CardSection } from "@tessera/hub";
import { formatCount, formatDuration, formatNumber } from "@tessera/text";
import { basename } from "node:path";
import { scoreRows } from "../score/outcome.ts";
import type { DataFacts, RunRecord } from "./record.ts";

/** The sections of a model card: what was measured on held-out examples, and how the model was trained. */
export function cardSections(record: RunRecord): CardSection[] {
  const results = resultsOf(record);
  return [...(results === null ? [] : [results]), trainingOf(record)];
}

function resultsOf({ before, after, plan: { heldOut } }: RunRecord): CardSection | null {
  if (before === null || after === null || heldOut === null) return null;
  const rows = scoreRows([before, after]).map(({ label, values, unit, note }) => [
    unit === undefined ? label : `${label} ${unit}`,
    ...values,
    note ?? "",
  ]);
  return {
    title: "Results",
    text: `On ${formatCount(heldOut.examples)} examples that it was not trained on.`,
    table: { columns: ["", "before training", "after training", ""], rows },
  };
}

function dataText({ source, examples, tokens }: DataFacts): string {
  return `${formatCount(examples)} from \`${basename(source)}\`, ${formatCount(tokens)} tokens`;
}

function trainingOf({ plan, training, environment, config }: RunRecord): CardSection {
  const { model, train } = plan;
  const { lora, training: settings, quantize, dtype } = config;
  const batch = settings.batchSize * settings.gradientAccumulationSteps;
  const share = (100 * model.trainable / model.parameters).toPrecision(2);
  const loss = training.steps.at(-1)?.loss;
  const rows: [string, string][] = [
    ["Base model", `\`${model.name}\`, ${formatCount(model.parameters)} parameters`],
    [
      "Method",
      lora === null
        ? "all weights"
        : `LoRA of rank ${lora.rank}, alpha ${lora.alpha ?? lora.rank}, on ${
          lora.targets.map((name) => `\`${name}\``).join(", ")
        }`,
    ],
    ["Trained parameters", `${formatCount(model.trainable)} (${share} %)`],
    ["Examples", dataText(train)],
    ["Steps", `${formatCount(training.steps.length)}, of ${formatCount(batch)} examples each`],
    [
      "Optimizer",
      `AdamW, learning rate ${
        formatNumber(settings.learningRate)
      } (${settings.schedule}, ${settings.warmupSteps} steps of warm-up), ` +
      `weight decay ${settings.weightDecay}`,
    ],
    ["Weights", quantize === null ? dtype : `${quantize}, frozen`],
    ...(loss === undefined ? [] : [["Last training loss", `${formatNumber(loss)} per token`] as [string, string]]),
    ["Seed", String(settings.seed)],
    ["Time", `${formatDuration(training.seconds)} on the backend \`${environment.backend}\``],
    ["Software", `Tessera ${environment.tessera}`],
  ];
  return { title: "Training", table: { rows } };
}
