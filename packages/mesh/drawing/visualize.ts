/**
 * Drawings of a sharded tensor for the terminal: which device holds which block.
 *
 * ```text
 * [16, 3072] PartitionSpec('model', 'batch'): each device holds [8, 1536], 1/4
 *            axis 1: 3072 over batch (2)
 *            ┌──────────┬──────────┐
 * axis 0: 16 │    0     │    2     │
 * model (2)  ├──────────┼──────────┤
 *            │    1     │    3     │
 *            └──────────┴──────────┘
 * ```
 */
import { checkOptions, type OptionNames } from "@tessera/text";
import type { Sharding } from "../sharding/sharding.ts";
import { deviceLabel, type DrawableMesh, kindOfAll, shardingGrid } from "./sharding_grid.ts";
import type { TensorLayout } from "../layout/tensor_layout.ts";

/** How a drawing for the terminal looks. */
export interface VisualizeOptions {
  /** The most columns to use; the terminal's width, or 80 elsewhere, unless given. */
  readonly width?: number;
  /** Whether boxes are colored; as standard output allows unless given. */
  readonly color?: boolean;
}

const optionNames: OptionNames<VisualizeOptions> = { width: true, color: true };

/** A box of the drawing: its text, and the number of its block, which gives the color. */
interface Cell {
  readonly text: string;
  readonly block: number | null;
}

const mostRows = 16;
const widestCell = 24;
/** Soft backgrounds of the 256-color palette on which black is readable. */
const palette = [153, 217, 158, 222, 189, 216, 159, 186, 183, 152, 224, 194];

/**
 * A drawing of a sharded tensor in boxes, each with the devices that hold it. Rows and columns that do not fit are left
 * out in the middle.
 *
 * @throws {RangeError} when the layout does not fit the shape, or names an axis that the mesh lacks.
 */
export function visualizeSharding(
  shape: readonly number[],
  layout: Sharding | TensorLayout,
  mesh: DrawableMesh,
  options: VisualizeOptions = {},
): string {
  checkOptions("draw a sharding", options, optionNames);
  const { width = globalThis.process?.stdout?.columns ?? 80, color = allowsColor() } = options;
  const { rows, columns, holders, title, held, notes } = shardingGrid(shape, layout, mesh);
  const side = rows === null ? [] : [`axis ${rows.axis}: ${rows.length}`, rows.over].filter((line) => line !== "");
  const indent = side.length === 0 ? 0 : Math.max(...side.map((line) => line.length)) + 1;
  const labels = holders.map((row) => row.map((block) => deviceLabel(block, mesh)));
  const label = Math.min(Math.max(...labels.flat().map((text) => text.length)), Math.max(1, width - indent - 4));
  const count = holders[0]!.length;
  const room = width - indent - 1;
  // A column takes its text, a space on either side and a border.
  const shownColumns = shownOf(count, Math.max(3, Math.floor(room / (label + 3))));
  const inner = Math.max(label + 2, Math.min(widestCell, Math.floor(room / shownColumns.length) - 1));
  const shownRows = shownOf(holders.length, mostRows);
  const cells = shownRows.map((row) =>
    shownColumns.map((column): Cell => {
      if (row === null || column === null) return { text: row === null && column !== null ? "⋮" : "…", block: null };
      return { text: fit(labels[row]![column]!, inner - 2), block: row * count + column };
    })
  );
  const padding = cells.length <= 4 ? 1 : 0;
  const lines = drawBoxes(cells, inner, padding, color);
  const header = columns === null
    ? []
    : [`axis ${columns.axis}: ${columns.length}${columns.over === "" ? "" : ` over ${columns.over}`}`];
  const kind = kindOfAll(mesh.devices);
  const legend = [...notes, ...(kind === null || shape.length === 0 ? [] : [`numbers are ${kind} devices`])];
  return [
    ...join([title, held], ": ", width),
    ...header.map((line) => " ".repeat(indent) + line),
    ...lines.map((line, i) => (side[i - 1] ?? "").padEnd(indent) + line),
    ...join(legend, "; ", width),
  ].join("\n");
}

/** Joins phrases to one line where that fits, else gives each a line. */
function join(phrases: readonly string[], separator: string, width: number): readonly string[] {
  const line = phrases.join(separator);
  return line === "" ? [] : line.length <= width ? [line] : phrases;
}

/** Draws a grid of boxes that share their borders. */
function drawBoxes(cells: readonly (readonly Cell[])[], inner: number, padding: number, color: boolean): string[] {
  const width = cells[0]!.length;
  const rule = (left: string, middle: string, right: string) =>
    left + Array.from({ length: width }, () => "─".repeat(inner)).join(middle) + right;
  const paint = (text: string, { block }: Cell) =>
    color && block !== null ? `\x1b[48;5;${palette[block % palette.length]}m\x1b[30m${text}\x1b[0m` : text;
  const line = (row: readonly Cell[], textOf: (cell: Cell) => string) =>
    "│" + row.map((cell) => paint(center(textOf(cell), inner), cell)).join("│") + "│";
  const lines = cells.flatMap((row, i) => [
    i === 0 ? rule("┌", "┬", "┐") : rule("├", "┼", "┤"),
    ...Array.from({ length: padding }, () => line(row, () => "")),
    line(row, ({ text }) => text),
    ...Array.from({ length: padding }, () => line(row, () => "")),
  ]);
  return [...lines, rule("└", "┴", "┘")];
}

/** The indices to show of a row or column, at most so many; `null` stands for those left out before the last. */
function shownOf(count: number, most: number): (number | null)[] {
  const all = Array.from({ length: count }, (_, i) => i);
  return count <= most ? all : [...all.slice(0, most - 2), null, count - 1];
}

function center(text: string, width: number): string {
  const left = Math.floor((width - text.length) / 2);
  return " ".repeat(left) + text + " ".repeat(width - left - text.length);
}

function fit(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}

function allowsColor(): boolean {
  const { stdout, env } = globalThis.process ?? {};
  return stdout?.isTTY === true && !env?.["NO_COLOR"] && env?.["TERM"] !== "dumb";
}
