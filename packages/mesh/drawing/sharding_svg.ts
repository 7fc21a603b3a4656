/** Drawings of a sharded tensor as a self-contained SVG, readable on a light and on a dark page. */
import type { Sharding } from "../sharding/sharding.ts";
import { deviceLabel, type DrawableMesh, type GridAxis, kindOfAll, shardingGrid } from "./sharding_grid.ts";
import type { TensorLayout } from "../layout/tensor_layout.ts";

/** How an SVG drawing looks. */
export interface SvgOptions {
  /** What is drawn, such as the path of a variable, as the title. */
  readonly name?: string;
  /** The width in pixels; 640 unless given. */
  readonly width?: number;
}

/**
 * The colors follow the viewer's preference: a box has a hue of its own, and its lightness is the page's. Every rule is
 * for this class only, since a drawing may stand within a page.
 */
const rules: readonly (readonly [selector: string, rule: string])[] = [
  ["text", "font:13px ui-sans-serif,system-ui,sans-serif;fill:#1f2937"],
  [".name", "font-weight:600;font-size:15px"],
  [".mono", "font-family:ui-monospace,SFMono-Regular,Menlo,monospace;font-size:12px"],
  [".faint", "fill:#6b7280;font-size:12px"],
  [".label", "font:600 15px ui-monospace,SFMono-Regular,Menlo,monospace;text-anchor:middle;dominant-baseline:central"],
  [".side", "text-anchor:middle"],
  [".box", "fill:hsl(var(--hue) 78% 87%);stroke:hsl(var(--hue) 45% 62%)"],
];
const darkRules: typeof rules = [
  ["text", "fill:#e5e7eb"],
  [".faint", "fill:#9ca3af"],
  [".box", "fill:hsl(var(--hue) 42% 27%);stroke:hsl(var(--hue) 45% 48%)"],
];
const style = `${scoped(rules)}@media (prefers-color-scheme:dark){${scoped(darkRules)}}`;

function scoped(table: typeof rules): string {
  return table.map(([selector, rule]) => `.sharding ${selector}{${rule}}`).join("");
}

const left = 64;
const margin = 16;
const gap = 3;
const tallest = 320;
const mostBoxes = 64;

/**
 * An SVG drawing of a sharded tensor, each box with the devices that hold it.
 *
 * @throws {RangeError} when the layout does not fit the shape, or names an axis that the mesh lacks.
 */
export function shardingSvg(
  shape: readonly number[],
  layout: Sharding | TensorLayout,
  mesh: DrawableMesh,
  options: SvgOptions = {},
): string {
  const { name, width = 640 } = options;
  const grid = shardingGrid(shape, layout, mesh);
  const { rows, columns, holders } = grid;
  const [down, right] = [Math.min(holders.length, mostBoxes), Math.min(holders[0]!.length, mostBoxes)];
  const heads: readonly (readonly [className: string, line: string])[] = [
    ...(name === undefined ? [] : [["name", name] as const]),
    ["mono", grid.title],
    ["faint", capitalize(grid.held)],
  ];
  const top = margin + heads.length * 20 + 28;
  const x = rows === null ? margin : left;
  const wide = (width - x - margin) / right;
  const high = Math.min(tallest, Math.max(down * 22, Math.min(down * 64, tallest))) / down;
  const boxes = holders.slice(0, down).flatMap((row, i) =>
    row.slice(0, right).map((block, j) =>
      box({
        x: x + j * wide,
        y: top + i * high,
        width: wide,
        height: high,
        hue: hueOf(i * right + j, down * right),
        label: deviceLabel(block, mesh),
      })
    )
  );
  const bottom = top + down * high;
  const middle = top + (bottom - top) / 2;
  const kind = kindOfAll(mesh.devices);
  const notes = [
    ...grid.notes,
    ...(kind === null ? [] : [`numbers are ${kind} devices`]),
    ...(down < holders.length || right < holders[0]!.length
      ? [`only the first ${down} × ${right} of ${holders.length} × ${holders[0]!.length} blocks are drawn`]
      : []),
  ];
  const height = Math.round(bottom + notes.length * 18 + margin);
  const parts = [
    `<title>${escape(`${name === undefined ? "" : `${name} `}${grid.title}: ${grid.held}`)}</title>`,
    `<style>${style}</style>`,
    ...heads.map(([className, line], i) => text(margin, margin + 12 + i * 20, className, line)),
    ...(columns === null ? [] : [text(x + gap / 2, top - 8, "faint", axisText(columns))]),
    ...(rows === null ? [] : [
      `<text class="faint side" transform="translate(${margin + 12} ${round(middle)}) rotate(-90)">` +
      `<tspan x="0">${escape(`axis ${rows.axis} · ${rows.length}`)}</tspan>` +
      (rows.over === "" ? "" : `<tspan x="0" dy="16">${escape(rows.over)}</tspan>`) + "</text>",
    ]),
    ...boxes,
    ...notes.map((line, i) => text(x + gap / 2, bottom + 18 + i * 18, "faint", capitalize(line))),
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ` +
    `class="sharding" role="img">\n${parts.join("\n")}\n</svg>\n`;
}

function axisText({ axis, length, over }: GridAxis): string {
  return `axis ${axis} · ${length}${over === "" ? "" : ` over ${over}`}`;
}

/** Hues spread over the circle, neighbors far apart in kind but not in order. */
function hueOf(block: number, count: number): number {
  return Math.round((210 + block * 360 / Math.max(count, 6)) % 360);
}

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly hue: number;
  readonly label: string;
}

function box({ x, y, width, height, hue, label }: Box): string {
  // A letter of the label is about 0.6 of its size wide; a label that would be too small to read is a tooltip only.
  const size = Math.min(15, height - 6, (width - gap - 8) / (0.6 * label.length));
  const drawn = size < 6 ? "" : `<text class="label" x="${round(x + width / 2)}" y="${round(y + height / 2)}" ` +
    `style="font-size:${round(size)}px">${escape(label)}</text>`;
  return `<g><title>${escape(label)}</title><rect class="box" style="--hue:${hue}" fill="#dbeafe" x="${
    round(x + gap / 2)
  }" y="${round(y + gap / 2)}" width="${round(width - gap)}" height="${round(height - gap)}" rx="5"/>${drawn}</g>`;
}

function text(x: number, y: number, className: string, line: string): string {
  return `<text class="${className}" x="${round(x)}" y="${round(y)}">${escape(line)}</text>`;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

function capitalize(line: string): string {
  return line.charAt(0).toUpperCase() + line.slice(1);
}

function escape(line: string): string {
  return line.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
