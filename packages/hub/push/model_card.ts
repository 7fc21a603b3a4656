/**
 * The model card of what is pushed: `README.md`, whose front matter the hub shows and searches.
 *
 * https://huggingface.co/docs/hub/model-cards
 */

/** What is done with a model, in the hub's words. */
export type ModelTask = "text-generation" | "image-text-to-text";

/** A table of a model card. */
export interface CardTable {
  /** What stands above the columns; a table of two columns may go without. */
  readonly columns?: readonly string[];
  /** The cells of each row. */
  readonly rows: readonly (readonly string[])[];
}

/** A section of a model card. */
export interface CardSection {
  /** Its title. */
  readonly title: string;
  /** What stands above the table. */
  readonly text?: string;
  /** Its table. */
  readonly table: CardTable;
}

/** What a model card says in addition to what the files say. */
export interface ModelCardDetails {
  /** What is done with the model; told by the config of a whole model, and text generation for an adapter, unless given. */
  readonly task?: ModelTask;
  /** What to call a base model that is not on the hub. */
  readonly baseName?: string;
  /** Further sections, such as the results and how it was trained. */
  readonly sections?: readonly CardSection[];
}

/** What the files say, and where they go. */
export interface CardSubject {
  /** Whether it is an adapter or a whole model. */
  readonly kind: "adapter" | "model";
  /** The repository of the card. */
  readonly repository: string;
  /** The repository of the base model; `null` where it is not known. */
  readonly baseModel: string | null;
  /** The kind of architecture, as the config of a whole model names it. */
  readonly modelType: string | null;
}

const marker =
  "<!-- Written by Tessera, which writes it anew with the next push; take this line away to keep the card. -->";

/** Whether a model card may be written anew, since nobody has made it their own. */
export function isOwnCard(text: string): boolean {
  return text.includes(marker);
}

/** The licenses of well-known base models, which what is made of them inherits, in the hub's words. */
const licenses: readonly (readonly [base: RegExp, license: string])[] = [
  [/^google\/(gemma-(1\.1-)?[27]b|gemma-2-|codegemma-|shieldgemma-|paligemma2?-)/, "gemma"],
  [/^meta-llama\/(Meta-)?Llama-3\.1-/, "llama3.1"],
  [/^meta-llama\/Llama-3\.2-/, "llama3.2"],
  [/^meta-llama\/Llama-3\.3-/, "llama3.3"],
  [/^meta-llama\/Meta-Llama-3-/, "llama3"],
  // Those of 3B and 72B have licenses of their own, which the hub has no words for.
  [/^Qwen\/(Qwen3-|Qwen2\.5-((Coder|Math)-)?(0\.5|1\.5|7|14|32)B)/, "apache-2.0"],
];

/** Writes the model card of what is pushed. */
export function writeModelCard(subject: CardSubject, details: ModelCardDetails): string {
  const { kind, repository, baseModel, modelType } = subject;
  const { task = modelType === "paligemma" ? "image-text-to-text" : "text-generation", sections = [] } = details;
  const license = licenses.find(([base]) => base.test(baseModel ?? ""))?.[1];
  const front = [
    `library_name: ${kind === "adapter" ? "peft" : "transformers"}`,
    `pipeline_tag: ${task}`,
    ...(baseModel === null
      ? []
      : [`base_model: ${baseModel}`, `base_model_relation: ${kind === "adapter" ? "adapter" : "finetune"}`]),
    ...(license === undefined ? [] : [`license: ${license}`]),
    "tags:",
    "  - tessera",
    ...(kind === "adapter" ? ["  - lora"] : []),
  ];
  const base = baseModel !== null
    ? `[${baseModel}](https://huggingface.co/${baseModel})`
    : details.baseName === undefined
    ? null
    : `\`${details.baseName}\``;
  const what = kind === "adapter"
    ? `A LoRA adapter${base === null ? "" : ` for ${base}`}`
    : base === null
    ? "A language model"
    : `A fine-tune of ${base}`;
  const blocks = [
    `---\n${front.join("\n")}\n---`,
    marker,
    `# ${repository.slice(repository.indexOf("/") + 1)}`,
    `${what}, made with Tessera.`,
    ...sections.flatMap(({ title, text, table }) => [
      `## ${title}`,
      ...(text === undefined ? [] : [text]),
      formatTable(table),
    ]),
    "## Use",
    "In TypeScript, with Tessera:",
    fence("ts", typescriptUse(subject, task)),
    `In Python, with ${kind === "adapter" ? "PEFT and Transformers" : "Transformers"}:`,
    fence("python", pythonUse(subject, task)),
  ];
  return blocks.join("\n\n") + "\n";
}

function fence(language: string, code: string): string {
  return `\`\`\`${language}\n${code}\n\`\`\``;
}

function formatTable({ columns, rows }: CardTable): string {
  const width = Math.max(...rows.map(({ length }) => length));
  const head = columns ?? new Array<string>(width).fill("");
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), `|${" --- |".repeat(head.length)}`, ...rows.map(line)].join("\n");
}

/** What stands for a base model that is not on the hub. */
const ownBase = "path/to/the/base-model";

function typescriptUse({ kind, repository, baseModel }: CardSubject, task: ModelTask): string {
  const sees = task === "image-text-to-text";
  const model = sees ? "PaliGemmaCausalLM" : "CausalLM";
  const base = baseModel === null ? ownBase : `hf://${baseModel}`;
  const prompt = sees ? '{ image: "image.png", prompt: "caption en" }' : '"Once upon a time"';
  return [
    `import { ${model}, openBackend } from "tessera";`,
    "",
    'const backend = await openBackend("cpu");',
    `const lm = await ${model}.fromPreset("${kind === "adapter" ? base : `hf://${repository}`}", { backend });`,
    ...(kind === "adapter" ? [`await lm.loadAdapter("hf://${repository}");`] : []),
    `console.log(await lm.generate(${prompt}, { maxNewTokens: 64 }));`,
  ].join("\n");
}

function pythonUse({ kind, repository, baseModel }: CardSubject, task: ModelTask): string {
  const sees = task === "image-text-to-text";
  const model = sees ? "AutoModelForImageTextToText" : "AutoModelForCausalLM";
  const processor = sees ? "AutoProcessor" : "AutoTokenizer";
  const name = sees ? "processor" : "tokenizer";
  if (kind === "model") {
    return [
      `from transformers import ${[model, processor].sort().join(", ")}`,
      "",
      `model = ${model}.from_pretrained("${repository}")`,
      `${name} = ${processor}.from_pretrained("${repository}")`,
    ].join("\n");
  }
  const base = baseModel ?? ownBase;
  return [
    "from peft import PeftModel",
    `from transformers import ${[model, processor].sort().join(", ")}`,
    "",
    `base = ${model}.from_pretrained("${base}")`,
    `model = PeftModel.from_pretrained(base, "${repository}")`,
    `${name} = ${processor}.from_pretrained("${base}")`,
  ].join("\n");
}
