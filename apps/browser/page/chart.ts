/** The loss over the steps, drawn anew as it grows: lines as SVG that stretches, labels as HTML that keeps its size. */
import { linePath, type Point, smooth } from "@tessera/report/curve";
import { linearScale, lossScale, type Scale, tickLabel } from "@tessera/report/scale";
import { make } from "./dom.ts";

const [width, height] = [1000, 300];
const svgNamespace = "http://www.w3.org/2000/svg";

function draw(tag: string, attributes: Readonly<Record<string, string | number>>): SVGElement {
  const element = document.createElementNS(svgNamespace, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

/** Draws the losses of the steps so far, out of `steps`, into an element, and gives the caption of the vertical axis. */
export function drawLosses(into: HTMLElement, losses: readonly number[], steps: number): string {
  const x = linearScale(1, Math.max(2, steps), { fit: true });
  const y = lossScale(losses);
  const line = (values: readonly number[], name: string) =>
    draw("path", { class: name, d: linePath(values.map((value, i): Point => [i + 1, value]), x, y) });
  const latest = losses.at(-1);
  const svg = draw("svg", {
    viewBox: `0 0 ${width} ${height}`,
    preserveAspectRatio: "none",
    role: "img",
    "aria-label": latest === undefined
      ? "Loss by step; no steps yet"
      : `Loss by step: ${losses[0]!.toFixed(2)} at first, ${latest.toFixed(2)} at step ${losses.length} of ${steps}`,
  });
  svg.append(
    ...y.ticks.map((tick) => {
      const top = ((1 - y.at(tick)) * height).toFixed(1);
      return draw("line", { class: "grid", x1: 0, x2: width, y1: top, y2: top });
    }),
    line(losses, "raw"),
    line(smooth(losses, Math.max(1, losses.length / 25)), "smooth"),
  );
  into.replaceChildren(svg, ...(latest === undefined ? [] : labels(y, "y", "bottom")), ...labels(x, "x", "left"));
  return `loss per token${y.isLogarithmic ? ", log scale" : ""}`;
}

function labels(scale: Scale, name: string, side: "bottom" | "left"): HTMLElement[] {
  return scale.ticks.map((tick) => {
    const label = make("span", name, tickLabel(tick));
    label.style[side] = `${(scale.at(tick) * 100).toFixed(2)}%`;
    return label;
  });
}
