/** The style sheet and the script of a report: inside the page, so that it needs nothing else. */

/** The style sheet, for light and dark screens of any width and for paper. */
export const style = `
:root { color-scheme: light dark; --page: #fbfaf8; --card: #fff; --ink: #1c1b19; --soft: #6b6862; --line: #e4e1da;
  --accent: #0f6e64; --held: #b4530a; --good: #18794e; --bad: #b3261e; --wash: #f3f1ec; --mark: #fbdcd7; }
@media (prefers-color-scheme: dark) { :root { --page: #131416; --card: #1a1c1f; --ink: #eceae6; --soft: #9b9892; --line: #2c2f33;
  --accent: #4fc3b2; --held: #f0a35e; --good: #5fce97; --bad: #f2857b; --wash: #212428; --mark: #552a28; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%; }
main { max-width: 60rem; margin: 0 auto; padding: 3rem 1.5rem 4rem; }
header { margin-bottom: 2rem; }
h1 { font-size: 1.9rem; line-height: 1.2; letter-spacing: -0.02em; margin: 0 0 .35rem; overflow-wrap: anywhere; text-wrap: balance; }
h2 { font-size: 1.05rem; letter-spacing: -0.005em; margin: 2.75rem 0 .75rem; }
p { margin: 0 0 .75rem; } .soft, header p { color: var(--soft); } .note { border-left: 3px solid var(--held); padding-left: .75rem; }
.hero { display: grid; grid-template-columns: 1.35fr 1fr 1fr; border: 1px solid var(--line); border-radius: 12px;
  background: var(--card); overflow: hidden; }
.hero > div { padding: 1.1rem 1.25rem 1rem; border-top: 1px solid var(--line); border-left: 1px solid var(--line); margin: -1px 0 0 -1px; }
.hero .wide { grid-row: span 2; display: flex; flex-direction: column; justify-content: center; }
.hero dt, .label { color: var(--soft); font-size: .82rem; } .hero dd { margin: .1rem 0 0; font-size: 1.45rem; font-weight: 600;
  letter-spacing: -0.02em; white-space: nowrap; } .hero small { display: block; color: var(--soft); font-size: .8rem; font-weight: 400;
  letter-spacing: 0; white-space: normal; } .hero .wide dd { font-size: 2.9rem; line-height: 1.15; }
.from { color: var(--soft); font-weight: 400; } .wide .from { font-size: 1.6rem; } .unit { font-size: .6em; font-weight: 500; color: var(--soft); }
.bar { height: 8px; border-radius: 4px; background: var(--wash); margin: .8rem 0 .6rem; position: relative; overflow: hidden; }
.bar i { position: absolute; inset: 0 auto 0 0; background: var(--accent); } .bar i.was { background: var(--soft); }
figure { margin: 0; } figcaption { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; font-size: .82rem; color: var(--soft);
  margin-bottom: .6rem; } .axis { margin-left: auto; }
.key::before { content: ""; display: inline-block; width: 1.1rem; height: 0; border-top: 2.5px solid var(--accent); vertical-align: .28em;
  margin-right: .4rem; } .key.raw::before { opacity: .35; border-top-width: 1.5px; } .key.held::before { width: 9px; height: 9px; border: 0;
  border-radius: 50%; background: var(--held); vertical-align: 0; }
.plot { position: relative; height: 18rem; margin: 0 .75rem 1.6rem 3.1rem; touch-action: pan-y; } .small .plot { height: 5.5rem; margin-top: 1.25rem; }
.plot svg { position: absolute; inset: 0; width: 100%; height: 100%; overflow: visible; }
.plot path { fill: none; stroke: var(--accent); stroke-width: 2.25; stroke-linejoin: round; vector-effect: non-scaling-stroke; }
.plot path.raw { stroke-width: 1; opacity: .38; } .plot path.held { stroke: var(--held); stroke-width: 1.25; stroke-dasharray: 3 4; }
.grid { stroke: var(--line); vector-effect: non-scaling-stroke; }
.plot span { position: absolute; font-size: .75rem; color: var(--soft); line-height: 1; } .plot .y { right: 100%; margin-right: .6rem;
  transform: translateY(50%); } .plot .x { top: 100%; margin-top: .5rem; transform: translateX(-50%); }
.dot { position: absolute; width: 9px; height: 9px; border-radius: 50%; background: var(--held); transform: translate(-50%, 50%);
  box-shadow: 0 0 0 2px var(--page); } .cross { position: absolute; top: 0; bottom: 0; width: 1px; background: var(--soft); pointer-events: none; }
.tip { position: absolute; top: .25rem; padding: .45rem .65rem; border-radius: 8px; background: var(--ink); color: var(--page); font-size: .78rem;
  line-height: 1.45; white-space: pre; pointer-events: none; } [hidden] { display: none; }
.below { text-align: center; font-size: .78rem; color: var(--soft); margin: 0; }
.answers { list-style: none; margin: 0; padding: 0; border: 1px solid var(--line); border-radius: 12px; background: var(--card); }
.answers li { padding: .9rem 1.15rem; border-top: 1px solid var(--line); break-inside: avoid; } .answers li:first-child { border-top: 0; }
.images { display: flex; flex-wrap: wrap; gap: .75rem; margin: 0 0 .6rem; } .images figcaption { margin: .2rem 0 0; }
.images svg { display: block; max-width: 100%; height: auto; border-radius: 6px; border: 1px solid var(--line); }
.answers p { margin: 0 0 .45rem; overflow-wrap: anywhere; white-space: pre-wrap; } .answers dl { display: grid; grid-template-columns: 5.25rem 1fr;
  gap: .15rem .5rem; margin: 0; font-size: .84rem; } .answers dt { color: var(--soft); } .answers dd { margin: 0; padding-left: 1.15rem; }
code, pre { font: .93em/1.5 ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.answers code { overflow-wrap: anywhere; white-space: pre-wrap; } .right { color: var(--good); } .wrong { color: var(--bad); }
b.right, b.wrong { font-weight: 700; display: inline-block; width: 1.15rem; margin-left: -1.15rem; } code mark { background: var(--mark); color: inherit; border-radius: 2px; }
em { color: var(--soft); }
.shardings { list-style: none; margin: 0; padding: 0; display: grid; grid-template-columns: repeat(auto-fill, minmax(25rem, 1fr)); gap: 1rem; }
.shardings li { border: 1px solid var(--line); border-radius: 12px; background: var(--card); padding: .25rem; break-inside: avoid;
  min-width: 0; } .shardings svg { display: block; max-width: 100%; height: auto; }
.facts { display: grid; grid-template-columns: 1fr 1fr; gap: 0 3rem; } .facts h3 { font-size: .9rem; margin: .9rem 0 .35rem; }
.facts > div { break-inside: avoid; min-width: 0; }
table { width: 100%; border-collapse: collapse; font-size: .86rem; } th, td { text-align: left; vertical-align: top; padding: .3rem 0;
  border-top: 1px solid var(--line); font-weight: 400; } th { color: var(--soft); width: 9.5rem; padding-right: 1rem; } td { overflow-wrap: anywhere; }
details { margin-top: 1.5rem; } summary { cursor: pointer; color: var(--soft); font-size: .9rem; } pre { background: var(--wash); padding: 1rem;
  border-radius: 8px; overflow-x: auto; font-size: .8rem; }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--soft); font-size: .82rem; }
@media (max-width: 42rem) { main { padding: 1.75rem 1rem 3rem; } h1 { font-size: 1.5rem; } .hero { grid-template-columns: 1fr 1fr; }
  .hero .wide { grid-row: auto; grid-column: span 2; } .hero .wide dd { font-size: 2.4rem; } .hero dd { font-size: 1.2rem; }
  .hero > div { padding: .9rem 1rem; } .plot { height: 14rem; margin-left: 2.6rem; }
  .facts, .shardings { grid-template-columns: 1fr; } .answers li { padding: .85rem .9rem; } .answers dl { grid-template-columns: 1fr; gap: 0; }
  .answers dd { margin-bottom: .35rem; } th { width: 8rem; } }
@media print { :root { color-scheme: light; --page: #fff; --card: #fff; --ink: #000; --soft: #555; --line: #ccc; --accent: #0f6e64;
  --held: #b4530a; --good: #18794e; --bad: #b3261e; --wash: #f5f5f5; --mark: #fbdcd7; } body { font-size: 11pt; }
  main { max-width: none; padding: 0; } .plot { height: 13rem; } h2 { break-after: avoid; } figure { break-inside: avoid; }
  .bar, .bar i, .dot, .key::before { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
`.trim();

/** The script, which shows the values at a step under the pointer. */
export const script = `
const plot = document.getElementById("loss"), data = JSON.parse(document.getElementById("loss-data").textContent);
const cross = plot.querySelector(".cross"), tip = plot.querySelector(".tip");
plot.addEventListener("pointermove", (event) => {
  const box = plot.getBoundingClientRect(), at = (event.clientX - box.left) / box.width;
  const row = data.reduce((best, one) => Math.abs(one[5] - at) < Math.abs(best[5] - at) ? one : best, data[0]);
  if (!row) return;
  tip.textContent = "step " + row[0] + "\\nloss " + row[1] + "\\nsmoothed " + row[2] + "\\nlearning rate " + row[3] +
    "\\n" + row[4].toLocaleString("en-US") + " tokens/s";
  cross.hidden = tip.hidden = false;
  cross.style.left = row[5] * 100 + "%";
  tip.style.left = row[5] < .45 ? "calc(" + row[5] * 100 + "% + 10px)" : "auto";
  tip.style.right = row[5] < .45 ? "auto" : "calc(" + (1 - row[5]) * 100 + "% + 10px)";
});
plot.addEventListener("pointerleave", () => cross.hidden = tip.hidden = true);
`.trim();
