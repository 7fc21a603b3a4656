import { displayWidth, fitText } from "./width.ts";

/** How one column of a table is laid out. */
export interface Column {
  /** The text above the column. */
  readonly header: string;
  /** The side on which the cells line up; numbers belong on the right. Left when absent. */
  readonly align?: "left" | "right";
  /** The part of a cell that gives way when the table is too wide; the column keeps its width when absent. */
  readonly shrink?: "end" | "middle";
}

/** How a table is laid out. */
export interface TableOptions {
  /** The columns, from left to right. */
  readonly columns: readonly Column[];
  /** The most terminal columns that a line may take; unlimited when absent. */
  readonly width?: number;
}

const gap = "  ";
const narrowest = 6;

/** Takes columns from the widest of the shrinkable cells, one at a time, until the table fits or none can give more. */
function shrinkWidths(widths: number[], columns: readonly Column[], excess: number): void {
  for (; excess > 0; excess--) {
    let widest = -1;
    for (const [index, column] of columns.entries()) {
      if (!column.shrink || widths[index]! <= narrowest) continue;
      if (widest < 0 || widths[index]! > widths[widest]!) widest = index;
    }
    if (widest < 0) return;
    widths[widest]!--;
  }
}

/**
 * Lines up rows of text under headers, no line wider than the terminal.
 *
 * @throws {RangeError} when a row does not have one cell per column.
 */
export function formatTable(rows: readonly (readonly string[])[], options: TableOptions): string {
  const { columns, width = Infinity } = options;
  for (const [index, row] of rows.entries()) {
    if (row.length !== columns.length) {
      throw new RangeError(`Cannot format table row ${index}: found ${row.length} cells for ${columns.length} columns`);
    }
  }
  const widths = columns.map((column, index) =>
    rows.reduce((widest, row) => Math.max(widest, displayWidth(row[index]!)), displayWidth(column.header))
  );
  const natural = widths.reduce((sum, one) => sum + one, gap.length * Math.max(0, columns.length - 1));
  if (natural > width) shrinkWidths(widths, columns, natural - width);
  const formatRow = (cells: readonly string[]) => {
    const padded = cells.map((cell, index) => {
      const text = fitText(cell, widths[index]!, columns[index]!.shrink ?? "end");
      const blanks = " ".repeat(widths[index]! - displayWidth(text));
      return columns[index]!.align === "right" ? blanks + text : text + blanks;
    });
    return fitText(padded.join(gap).trimEnd(), width);
  };
  const rule = "─".repeat(Math.min(width, widths.reduce((sum, one) => sum + gap.length + one, -gap.length)));
  return [formatRow(columns.map((column) => column.header)), rule, ...rows.map(formatRow)].join("\n");
}
