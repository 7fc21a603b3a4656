/** The table that `summary()` prints: layers, shapes and parameter counts. No weights are needed for it. */
import { formatBytes, formatCount, formatTable } from "@tessera/text";
import type { Variable } from "./variable.ts";

/** Parameter counts of a model. */
export interface ParameterCounts {
  /** All parameters. */
  readonly total: number;
  /** Those that training changes. */
  readonly trainable: number;
  /** The size of the stored weights, in bytes. */
  readonly bytes: number;
}

/** Counts the parameters of some variables. */
export function countParameters(variables: Iterable<Variable>): ParameterCounts {
  let [total, trainable, bytes] = [0, 0, 0];
  for (const variable of variables) {
    total += variable.size;
    if (variable.trainable) trainable += variable.size;
    bytes += variable.bytes;
  }
  return { total, trainable, bytes };
}

/** Variables that differ only in the number of their block. */
interface Group {
  readonly name: string;
  readonly first: Variable;
  readonly members: Variable[];
}

/** Variables outside blocks, under an empty title, or those of all blocks of one kind. */
interface Section {
  readonly title: string;
  readonly blocks: Set<string>;
  readonly groups: Map<string, Group>;
}

const inBlock = /^((?:.*\/)?[a-z_]*(?:block|layer))_(\d+)\/(.+)$/;

function sectionsOf(variables: readonly Variable[]): Section[] {
  const sections: Section[] = [];
  for (const variable of variables) {
    const [, kind = "", block = "", name = variable.path] = inBlock.exec(variable.path) ?? [];
    let section = sections.find(({ title }) => title === kind && kind !== "") ?? sections.at(-1);
    if (section?.title !== kind) {
      section = { title: kind, blocks: new Set(), groups: new Map() };
      sections.push(section);
    }
    section.blocks.add(block);
    const key = `${name} ${variable.shape} ${storageOf(variable)} ${variable.trainable}`;
    const group = section.groups.get(key) ?? { name, first: variable, members: [] };
    group.members.push(variable);
    section.groups.set(key, group);
  }
  return sections;
}

/** The type that elements are stored in, such as `float32` or `int8`. */
function storageOf({ dtype, quantization }: Variable): string {
  return quantization?.name ?? dtype;
}

function sectionRows({ title, blocks, groups }: Section): string[][] {
  const inSection = [...groups.values()];
  const rows = inSection.map(({ name, first, members }) => {
    // A variable that every block has needs no count of its own.
    const count = title === "" || members.length === blocks.size ? "" : ` × ${members.length}`;
    return [
      `${title === "" ? "" : " "}${name}${count}`,
      `${storageOf(first)}[${first.shape.join(",")}]`,
      formatCount(first.size * members.length),
      first.trainable ? "yes" : "no",
    ];
  });
  if (title === "") return rows;
  const { total } = countParameters(inSection.flatMap(({ members }) => members));
  return [[`${title}_* × ${blocks.size}`, "", formatCount(total), ""], ...rows];
}

/**
 * A model's variables as a table, with like blocks together and the totals below. The parameters of one kind of variable are
 * summed over its blocks. Models of the sizes in use fit into 80 columns.
 */
export function formatSummary(
  name: string,
  variables: readonly Variable[],
  options: { readonly width?: number } = {},
): string {
  const table = formatTable(sectionsOf(variables).flatMap(sectionRows), {
    columns: [
      { header: "Variable", shrink: "middle" },
      { header: "Type" },
      { header: "Parameters", align: "right" },
      { header: "Train" },
    ],
    ...(options.width === undefined ? {} : { width: options.width }),
  });
  const all = countParameters(variables);
  const trainable = countParameters(variables.filter((variable) => variable.trainable));
  const frozen = countParameters(variables.filter((variable) => !variable.trainable));
  return [
    `Model: "${name}"`,
    table,
    ` Total params: ${formatCount(all.total)} (${formatBytes(all.bytes)})`,
    ` Trainable params: ${formatCount(trainable.total)} (${formatBytes(trainable.bytes)})`,
    ` Non-trainable params: ${formatCount(frozen.total)} (${formatBytes(frozen.bytes)})`,
  ].join("\n");
}
