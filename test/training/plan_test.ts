/** What a plan says before anything is loaded, against what the CPU backend then really holds. */
import assert from "node:assert/strict";
import { type OnnxBackend, onnxBackend } from "@tessera/backend-onnx";
import { bytesOf, type HostTensor, hostTensor, trace } from "@tessera/core";
import { type LayoutChoice, type MeshAxes, type TracedTraining, traceTraining, type Training } from "@tessera/models";
import { donations, initialize, shardProgram, type Variable } from "@tessera/nn";
import {
  type Communicator,
  compileSharded,
  type DeviceBuffer,
  type Executable,
  localCommunicator,
  scatter,
  ShardedBuffer,
} from "@tessera/runtime";
import {
  adamW,
  type Backend,
  type Distribution,
  distributionFor,
  enableLora,
  GemmaBackbone,
  type GemmaConfig,
  hardware,
  type Optimizer,
  planTraining,
} from "tessera";

/** Large enough for activations of tens of megabytes. */
const small: GemmaConfig = {
  vocabularySize: 2000,
  numLayers: 3,
  numQueryHeads: 4,
  numKeyValueHeads: 2,
  hiddenDim: 128,
  intermediateDim: 1024,
  headDim: 32,
  usePostFfwNorm: true,
  usePostAttentionNorm: true,
  attentionLogitSoftCap: 50,
  finalLogitSoftCap: 30,
  useSlidingWindowAttention: true,
  slidingWindowSize: 64,
};

interface Case {
  readonly config?: Partial<GemmaConfig>;
  /** The mesh; one device unless given. */
  readonly axes?: MeshAxes;
  readonly layout?: LayoutChoice;
  /** The rank of the adapters; `null` trains all weights. */
  readonly rank?: number | null;
  readonly clips?: boolean;
  readonly batch?: readonly [rows: number, length: number];
}

interface Setup {
  readonly backend: OnnxBackend;
  readonly distribution: Distribution | null;
  readonly training: Training & { readonly optimizer: Optimizer };
  /** The variables with values: weights and the optimizer's. */
  readonly variables: readonly Variable[];
}

/** Makes a model with values where they belong, in an ONNX Runtime of its own, whose arena starts empty. */
async function withModel(given: Case, run: (setup: Setup) => Promise<void>): Promise<void> {
  const { config = {}, axes = null, layout = "auto", rank = 4, clips = true, batch = [4, 128] } = given;
  const backbone = new GemmaBackbone({ ...small, ...config });
  if (rank !== null) enableLora(backbone, { rank, targets: ".*" });
  const optimizer = adamW({ learningRate: 1e-4, globalClipNorm: clips ? 1 : null });
  const devices = Object.values(axes ?? {}).reduce((product, size) => product * size, 1);
  const backend = onnxBackend({ threads: 2, deviceCount: devices });
  const ids = backend.devices.map(({ id }) => id);
  const distribution = axes === null ? null : distributionFor(backbone, axes, layout, ids);
  initialize(backbone.variables, backend, { seed: 0, ...(distribution === null ? {} : { where: distribution }) });
  await optimizer.build(backbone.variables.filter(({ trainable }) => trainable), backend);
  const variables = [...backbone.variables, ...optimizer.variables];
  try {
    const training = { backbone, optimizer, batchSize: batch[0], length: batch[1] };
    await run({ backend, distribution, training, variables });
  } finally {
    variables.forEach(({ value }) => value?.dispose());
    backend.dispose();
    // Sessions are freed after their runs have ended.
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** What device 0 really holds of a buffer, in bytes. */
function bytesOnDevice(buffer: DeviceBuffer): number {
  return bytesOf((buffer instanceof ShardedBuffer ? buffer.parts[0]! : buffer).type);
}

const meshes: readonly (MeshAxes | undefined)[] = [undefined, { batch: 2, model: 2 }, { model: 4 }, { batch: 4 }];

for (const axes of meshes) {
  for (const rank of [4, null]) {
    const what = `${axes === undefined ? "one device" : JSON.stringify(axes)}, ${
      rank === null ? "all weights" : "LoRA"
    }`;
    Deno.test(`planTraining() has the exact bytes of weights and optimizer: ${what}`, async () => {
      await withModel({ ...(axes === undefined ? {} : { axes }), rank, batch: [4, 8] }, ({ training, ...setup }) => {
        const held = (variables: readonly Variable[]) =>
          variables.reduce((sum, { value }) => sum + bytesOnDevice(value!), 0);
        const weights = held(training.backbone.variables);
        const slots = held(training.optimizer.variables);
        const { memory } = planTraining(training, { distribution: setup.distribution, hardware: hardware.laptop });
        assert.equal(memory.weights, weights);
        assert.equal(memory.optimizer, slots);
        return Promise.resolve();
      });
    });
  }
}

/** Runs a step twice, and gives what the arena held at most in the second one beyond what it held before. */
async function measureStep({ backend, distribution, training }: Setup): Promise<number> {
  const traced = traceTraining(training, distribution?.numModelReplicas ?? 1);
  const program = await compile(traced, backend, distribution);
  const inputs = [
    ...batchOf(traced).map((tensor, i) => program.upload(tensor, i)),
    ...traced.step.variables.map(({ value }) => value!),
  ];
  let before = 0;
  for (let round = 0; round < 2; round++) {
    before = (await backend.arenaUse()).inUse;
    const outputs = await program.run(inputs);
    traced.step.outputs.forEach((_, i) => outputs[i]!.dispose());
  }
  const { peak } = await backend.arenaUse();
  inputs.slice(0, traced.step.batch.length).forEach((input) => input.dispose());
  await program.dispose();
  return peak - before;
}

function batchOf({ step }: TracedTraining): HostTensor[] {
  const ones = { int32: Int32Array, float32: Float32Array, bool: Uint8Array } as const;
  return step.batch.map((_, i) => {
    const { dtype, shape } = step.graph.inputs[i]!;
    const size = shape.reduce((product, length) => product * length, 1);
    return hostTensor(dtype, shape, new ones[dtype as keyof typeof ones](size).fill(1));
  });
}

interface Compiled {
  readonly run: (inputs: readonly DeviceBuffer[]) => Promise<readonly DeviceBuffer[]>;
  readonly upload: (tensor: HostTensor, input: number) => DeviceBuffer;
  readonly dispose: () => Promise<void>;
}

async function compile(
  { step }: TracedTraining,
  backend: OnnxBackend,
  distribution: Distribution | null,
): Promise<Compiled> {
  const [device] = backend.devices;
  const donate = donations(step);
  if (distribution === null) {
    const program = await backend.compile(step.graph, { device: device!, donate });
    return {
      run: (inputs) => program.run([...inputs]),
      upload: (tensor) => backend.upload(tensor),
      dispose: () => Promise.resolve(program.dispose()),
    };
  }
  const partitioned = shardProgram(step, distribution);
  const copies = new Map<string, Promise<Executable>>();
  const communicator = arenaCommunicator(backend, copies);
  const program = await compileSharded(partitioned, { backend, distribution, donate, communicator });
  return {
    run: (inputs) => program.run([...inputs]),
    upload: (tensor, i) => scatter(tensor, backend, { distribution, sharding: partitioned.inputs[i]! }),
    async dispose() {
      program.dispose();
      for (const copy of copies.values()) (await copy).dispose();
    },
  };
}

/** The communicator of one process, with what devices receive in the arena, so that its statistics have all that a step makes. */
function arenaCommunicator(backend: Backend, copies: Map<string, Promise<Executable>>): Communicator {
  const [device, ...alsoOn] = backend.devices;
  async function intoArena(buffer: DeviceBuffer): Promise<DeviceBuffer> {
    const key = JSON.stringify(buffer.type);
    const graph = trace("copy", { x: buffer.type }, ({ x }) => ({ y: x }));
    const copy = copies.get(key) ?? backend.compile(graph, { device: device!, alsoOn });
    copies.set(key, copy);
    const [copied] = await (await copy).run([buffer]);
    buffer.dispose();
    return copied!;
  }
  const local = localCommunicator(backend, backend.devices);
  return {
    begin() {
      const exchanges = local.begin();
      return {
        exchange: async (...given) => await Promise.all((await exchanges.exchange(...given)).map(intoArena)),
        abort: (reason) => exchanges.abort(reason),
      };
    },
  };
}

/** Many blocks: devices share the arena, and the more of it lives long, the less it matters whose turn it is. */
const deep: Partial<GemmaConfig> = { numLayers: 8, vocabularySize: 500 };

const cases: readonly (readonly [what: string, Case])[] = [
  ["LoRA", {}],
  ["LoRA, a large vocabulary", { config: { vocabularySize: 16_000 } }],
  ["LoRA, logits in pieces", { config: { vocabularySize: 40_000, finalLogitSoftCap: 30 }, batch: [2, 256] }],
  ["LoRA, long", { batch: [1, 512] }],
  ["all weights", { rank: null }],
  ["all weights, not clipped", { rank: null, clips: false, config: { vocabularySize: 8000 } }],
  ["LoRA, batch 2 × model 2", { config: deep, axes: { batch: 2, model: 2 }, batch: [6, 128] }],
  ["LoRA, model 2", { config: deep, axes: { model: 2 }, batch: [2, 128] }],
  ["all weights, batch 2 × model 2", { config: deep, axes: { batch: 2, model: 2 }, rank: null, batch: [6, 128] }],
  ["LoRA, replicated on 2 devices", { axes: { batch: 2 }, layout: "data-parallel" }],
];

for (const [what, given] of cases) {
  Deno.test(`planTraining() has the activations that a step really takes, within 15 %: ${what}`, async () => {
    await withModel(given, async (setup) => {
      const { distribution, training } = setup;
      const { memory, devices } = planTraining(training, { distribution, hardware: hardware.laptop });
      const found = await measureStep(setup) / devices;
      const ratio = memory.activations / found;
      assert(found > 15e6, `${found} B are too few to tell`);
      assert(ratio > 0.85 && ratio < 1.15, `planned ${memory.activations} B, found ${found} B: ${ratio}`);
      // One device runs exactly what was planned.
      if (distribution === null) assert(Math.abs(ratio - 1) < 0.02, `${ratio}`);
      if (Deno.env.has("TESSERA_REPORT")) console.log(what, ratio.toFixed(3));
    });
  });
}
