/** A run as a test needs it, with made-up figures. */
import type { Generation, RunRecord } from "../record.ts";

/** Makes the record of a run of some steps, with `changes` in place of its fields. */
export function sampleRecord(steps = 4, changes: Partial<RunRecord> = {}): RunRecord {
  const records = Array.from({ length: steps }, (_, i) => ({
    step: i + 1,
    loss: 3 * Math.exp(-5 * i / steps) * (1 + 0.2 * Math.sin(i * 2.1)) + 0.015,
    learningRate: 5e-3 * Math.min(1, (i + 1) / 20) * (1 + Math.cos(Math.PI * i / steps)) / 2,
    gradientNorm: 1,
    tokensPerSecond: 11_000 + 900 * Math.sin(i),
  }));
  const data = {
    source: "train.jsonl",
    examples: 2000,
    tokens: 141_204,
    targetTokens: 78_002,
    longest: 97,
    padding: 0.083,
    shapes: [{ shape: [16, 72] as const, batches: 80 }, { shape: [16, 98] as const, batches: 45 }],
    truncated: 0,
    dropped: 0,
  };
  const expected = '{"what":"dinner","who":"Anna Berg","where":"Oslo","date":"03-03","time":"19:30"}';
  const generation: Generation = {
    prompt: "Dinner with Anna Berg in Oslo on the 3rd of March at half past seven in the evening",
    expected,
    before: "dinner; who: Anna Berg",
    after: expected,
  };
  return {
    format: 1,
    name: "sample",
    startedAt: "2026-01-02T03:04:05.000Z",
    seconds: 96,
    peakMemoryBytes: 612 * 2 ** 20,
    plan: {
      model: {
        name: "gemma2-tiny",
        parameters: 1_115_264,
        trainable: 98_304,
        weightBytes: 4_461_056,
        optimizerBytes: 786_432,
        contextLength: 256,
        seesImages: false,
      },
      mesh: null,
      device: {
        weights: 4_461_056,
        optimizer: 786_432,
        accumulators: 0,
        activations: 12_000_000,
        gradients: 393_216,
        training: 17_247_488,
      },
      train: data,
      heldOut: { ...data, source: "heldout.jsonl", examples: 200 },
      steps,
      stepsPerEpoch: Math.ceil(steps / 3),
      questions: 200,
    },
    before: { loss: 3.2, tokenAccuracy: 0.4, exactMatch: { right: 0, total: 200, share: 0 }, boxes: null, seconds: 4 },
    after: {
      loss: 0.02,
      tokenAccuracy: 0.99,
      exactMatch: { right: 187, total: 200, share: 0.935 },
      boxes: null,
      seconds: 3,
    },
    training: {
      steps: records,
      heldOut: [0, 1, 2, 3].map((epoch) => ({
        step: Math.round(epoch * steps / 3),
        loss: 3.1 * Math.exp(-4.6 * epoch / 3) + 0.02,
      })),
      tokens: 423_612,
      seconds: 84,
      tokensPerSecond: 11_234,
      secondsToFirstStep: 1.4,
      interrupted: false,
      resumedAfter: [],
    },
    generations: [generation, { ...generation, after: expected.replace("19:30", "07:30") }],
    saved: { kind: "adapter", folder: "runs/sample/adapter", bytes: 412_000 },
    environment: {
      tessera: "0.1.0",
      deno: "2.9.6",
      system: "linux x86_64",
      processors: 2,
      backend: "cpu",
      threads: null,
    },
    config: {
      preset: "gemma2-tiny",
      dtype: "float32",
      lora: { rank: 8, alpha: null, targets: ["query", "value"], layout: "peft" },
      training: {
        batchSize: 8,
        gradientAccumulationSteps: 1,
        learningRate: 2e-4,
        schedule: "cosine",
        warmupSteps: 0,
        beta1: 0.9,
        beta2: 0.999,
        weightDecay: 0,
        seed: 1,
      },
    },
    ...changes,
  };
}
