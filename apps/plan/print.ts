/** What a plan shows to a person, as wide as the terminal. */
import { type CommandConsole, formatFacts, wrap } from "@tessera/cli";
import type { DirectedTraffic, Hardware, Suggestion } from "@tessera/models";
import { formatBytes, formatCount, formatNumber, formatTable } from "@tessera/text";
import type { TrainingPlan } from "tessera";
import type { Model } from "./model.ts";
import type { Request } from "./request.ts";

const names: Readonly<Record<DirectedTraffic["op"], string>> = {
  allReduce: "all-reduce",
  reduceScatter: "reduce-scatter",
  allGather: "all-gather",
  allToAll: "all-to-all",
  shardSlice: "slice",
  deviceIndex: "index",
};

function percent(share: number): string {
  return `${(100 * share).toPrecision(share < 0.1 ? 2 : 3)}\u00a0%`;
}

function milliseconds(seconds: number): string {
  return seconds >= 1 ? `${formatNumber(seconds)} s` : `${formatNumber(seconds * 1000)} ms`;
}

/** A rate with a decimal prefix, such as `989 TFLOP/s`. */
function rate(value: number, unit: string): string {
  const [scale, prefix] = value >= 1e12 ? [1e12, "T"] : value >= 1e9 ? [1e9, "G"] : [1e6, "M"];
  return `${Number((value / scale).toPrecision(3))} ${prefix}${unit}`;
}

/** How often a collective runs, by block where that is plain to see: `96 (2 a block + 4)`. */
export function describeCount(count: number, layers: number): string {
  const each = Math.round(count / layers);
  const rest = count - each * layers;
  // With few blocks what is left over could be taken for another one a block.
  if (each === 0 || layers < 8 || Math.abs(rest) > layers / 4) return formatCount(count);
  const others = rest === 0 ? "" : rest > 0 ? ` + ${rest}` : ` − ${-rest}`;
  return `${formatCount(count)} (${each} a block${others})`;
}

/** The mesh, such as `batch 2 × model 8 = 16 devices`. */
export function describeMesh(mesh: TrainingPlan["mesh"]): string {
  if (mesh.length === 0) return "one device";
  const devices = mesh.reduce((product, { size }) => product * size, 1);
  const axes = mesh.map(({ name, size }) => `${name} ${size}`).join(" × ");
  return mesh.length === 1 ? `${axes} device${devices === 1 ? "" : "s"}` : `${axes} = ${devices} devices`;
}

const layouts = { auto: "published layouts", "data-parallel": "weights on every device" } as const;

function describeMethod(request: Request, { parameters }: TrainingPlan): string {
  const share = `${formatCount(parameters.trainable)} trained parameters`;
  if (request.rank === null) return `all weights · ${share}`;
  return `LoRA of rank ${request.rank} on ${request.targets.join(", ")} · ${share} (${
    percent(parameters.trainable / (parameters.total - parameters.trainable))
  })`;
}

type Fact = readonly [label: string, value: string];

/** What is planned, and for what. */
function headFacts({ training }: Model, request: Request): Fact[] {
  const { batchSize, length, backbone } = training;
  const quantized = request.quantize === null ? "" : ` · frozen weights in ${request.quantize}`;
  return [
    ["Model", `${backbone.numLayers} blocks · ${request.dtype}${quantized}`],
    ["Batch", `${formatCount(batchSize)} × ${formatCount(length)} tokens`],
  ];
}

function title(model: Model, { styles }: CommandConsole): string {
  return `${styles.bold("Plan")} for ${model.title}\n`;
}

/** Prints a plan. */
export function printPlan(
  model: Model,
  plan: TrainingPlan,
  request: Request,
  hardware: Hardware,
  console: CommandConsole,
): void {
  const { styles, width, print } = console;
  const { memory, time, batch, mesh } = plan;
  print(title(model, console));
  const rows = batch.rows === request.batchSize ? "" : `, filled up to ${batch.rows}`;
  print(formatFacts(
    [
      ...headFacts(model, request),
      ["Method", describeMethod(request, plan)],
      [
        "Mesh",
        describeMesh(mesh) +
        (mesh.length === 0
          ? ""
          : ` · ${layouts[request.layout]} · ${batch.rowsPerDevice} ${
            batch.rowsPerDevice === 1 ? "sequence" : "sequences"
          } each${rows}`),
      ],
      ["Each device", hardware.title],
    ],
    width,
    styles,
  ));

  const fits = memory.training <= memory.available;
  const share = `${percent(memory.training / memory.available)} of ${formatBytes(memory.available)}`;
  print(`\n${styles.bold("Memory of each device")}`);
  print(formatFacts(
    [
      ["Weights", formatBytes(memory.weights)],
      ["Optimizer", formatBytes(memory.optimizer)],
      [
        "Activations",
        `${formatBytes(memory.activations)} at their peak, gradients (${formatBytes(memory.gradients)}) included`,
      ],
      [
        "Training",
        `${formatBytes(memory.training)} · ${share} ${fits ? styles.good("✓ fits") : styles.bad("✗ does not fit")}`,
      ],
      ["Key/value cache", `${formatBytes(memory.cache)} when generating a batch of this shape`],
    ],
    width,
    styles,
  ));

  if (plan.traffic.length > 0) {
    print(`\n${styles.bold("Collectives of a step")}`);
    print(formatTable(
      plan.traffic.map((found) => [
        `  ${found.direction}`,
        names[found.op],
        found.meshAxes.join(" × "),
        describeCount(found.count, plan.layers),
        formatBytes(found.bytes),
        formatBytes(found.sent),
      ]),
      {
        columns: [
          { header: "  Pass" },
          { header: "Collective" },
          { header: "Over" },
          { header: "Count", shrink: "end" },
          { header: "Carries", align: "right" },
          { header: "Each sends", align: "right" },
        ],
        width,
      },
    ));
  }

  const peak = model.training.backbone.compute === "float32" ? hardware.peak.float32 : hardware.peak.half;
  print(`\n${styles.bold("Time of a step, at best")}`);
  print(formatFacts(
    [
      ["Arithmetic", `${milliseconds(time.arithmetic)} · ${rate(plan.operations, "FLOP")} at ${rate(peak, "FLOP/s")}`],
      [
        "Memory",
        `${milliseconds(time.memory)} · products that ${rate(hardware.bandwidth, "B/s")} bound, and the update`,
      ],
      ...(mesh.length === 0
        ? []
        : [["Links", `${milliseconds(time.links)} · at ${rate(hardware.linkBandwidth, "B/s")}`] as const]),
      [
        "Step",
        `${milliseconds(time.step)} · ${formatCount(plan.tokensPerSecond)} tokens/s · limited by ${
          styles.bold(time.limit)
        }`,
      ],
    ],
    width,
    styles,
  ));
}

/** Prints ranked meshes. */
export function printSuggestions(
  model: Model,
  suggestions: readonly Suggestion[],
  request: Request,
  hardware: Hardware,
  console: CommandConsole,
): void {
  const { styles, width, print } = console;
  print(title(model, console));
  const planned = suggestions.filter(({ plan }) => plan !== null);
  print(formatFacts(
    [
      ...headFacts(model, request),
      ...(planned[0] === undefined ? [] : [["Method", describeMethod(request, planned[0].plan!)] as const]),
      ["Devices", `${request.suggest} × ${hardware.title}, ${formatBytes(hardware.memory)} each`],
    ],
    width,
    styles,
  ));
  print();
  print(formatTable(
    planned.map(({ plan, fits, layout }) => [
      `  ${plan!.mesh.map(({ name, size }) => `${name}=${size}`).join(",")}`,
      typeof layout === "string" ? layout : "own",
      `${fits ? "✓" : "✗"} ${formatBytes(plan!.memory.training)}`,
      milliseconds(plan!.time.step),
      formatCount(plan!.tokensPerSecond),
      plan!.time.limit,
    ]),
    {
      columns: [
        { header: "  Mesh" },
        { header: "Layout" },
        { header: "Each needs", align: "right" },
        { header: "Step", align: "right" },
        { header: "Tokens/s", align: "right" },
        { header: "Limit", shrink: "end" },
      ],
      width,
    },
  ));
  for (const { axes, reason } of suggestions) {
    if (reason === null) continue;
    const mesh = Object.entries(axes).map(([name, size]) => `${name}=${size}`).join(",");
    print();
    wrap(`${mesh}: ${reason}`, width - 2).forEach((line) => print(`  ${styles.dim(line)}`));
  }
}
