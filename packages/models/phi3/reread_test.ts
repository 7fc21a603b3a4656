import assert from "node:assert/strict";
import { onnxBackend } from "@tessera/backend-onnx";
import { toFloat32 } from "@tessera/core";
import { disposeValues, initialize } from "@tessera/nn";
import { Decoder } from "../generation/decoder.ts";
import { disposePrediction, type Prediction } from "../generation/decoder_programs.ts";
import { Phi3Backbone } from "./phi3.ts";

const backend = onnxBackend({ threads: 2 });
const vocabulary = 60;
const pretrained = 10;

/** Texts of more than 10 tokens turn all of their queries and keys otherwise than shorter ones. */
function tinyBackbone(): Phi3Backbone {
  const backbone = new Phi3Backbone({
    vocabularySize: vocabulary,
    numLayers: 2,
    numQueryHeads: 4,
    numKeyValueHeads: 2,
    hiddenDim: 32,
    intermediateDim: 48,
    ropeScaling: {
      shortFactors: [1, 1.1, 1.2, 1.3],
      longFactors: [2, 3, 5, 8],
      attentionFactor: 1.3,
      pretrainingSequenceLength: pretrained,
    },
  });
  initialize(backbone.variables, backend, { seed: 4 });
  return backbone;
}

function textOf(length: number, seed: number): number[] {
  return Array.from({ length }, (_, t) => 3 + (seed * 31 + t * 17 + t * t * 5) % (vocabulary - 3));
}

async function logitsOf(prediction: Prediction): Promise<number[][]> {
  const values = toFloat32(await prediction.logits.read());
  const rows = Array.from(
    { length: values.length / vocabulary },
    (_, row) => [...values.subarray(row * vocabulary, (row + 1) * vocabulary)],
  );
  disposePrediction(prediction);
  return rows;
}

/** What follows each text, by reading it as a whole. */
async function whole(decoder: Decoder, texts: readonly (readonly number[])[]): Promise<number[][]> {
  const rows = decoder.open({ batch: texts.length, mostTokens: 40 });
  const logits = await logitsOf(await rows.prefill(texts));
  rows.dispose();
  return logits;
}

function assertNear(found: readonly number[][], expected: readonly number[][], what: string): void {
  assert.equal(found.length, expected.length);
  const off = Math.max(...found.flatMap((row, i) => row.map((value, j) => Math.abs(value - expected[i]![j]!))));
  assert(off <= 1e-5, `${what}: off by ${off}`);
}

Deno.test("with a cache, rows predict what whole texts do while each outgrows the texts of pretraining in its turn", async () => {
  const backbone = tinyBackbone();
  const decoder = new Decoder(backbone, backend);
  const texts = [textOf(16, 1), textOf(16, 2), textOf(16, 3)];
  const starts = [8, 5, 12];
  const prompts = texts.map((text, row) => text.slice(0, starts[row]));
  const rows = decoder.open({ batch: 3, mostTokens: 30 });
  assertNear(await logitsOf(await rows.prefill(prompts)), await whole(decoder, prompts), "prefill");
  for (let step = 0; step < 4; step++) {
    const positions = Int32Array.from(starts, (start) => start + step);
    const tokens = Int32Array.from(texts, (text, row) => text[positions[row]!]!);
    const soFar = texts.map((text, row) => text.slice(0, positions[row]! + 1));
    assertNear(await logitsOf(await rows.decode(tokens, positions)), await whole(decoder, soFar), `step ${step}`);
  }
  // The first row is a long text by now, the second a short one: what each has read goes with it.
  await rows.select([1, 0, 1]);
  for (let step = 4; step < 8; step++) {
    const positions = Int32Array.of(5 + step, 8 + step, 5 + step);
    const from = [texts[1]!, texts[0]!, texts[1]!];
    const tokens = Int32Array.from(from, (text, row) => text[positions[row]!]!);
    const soFar = from.map((text, row) => text.slice(0, positions[row]! + 1));
    assertNear(await logitsOf(await rows.decode(tokens, positions)), await whole(decoder, soFar), `step ${step}`);
  }
  rows.dispose();
  decoder.dispose();
  disposeValues(backbone.variables);
});

Deno.test("the keys of a short text are of no use to a long one", async () => {
  const backbone = tinyBackbone();
  assert.equal(backbone.rereadBeyond, pretrained);
  const decoder = new Decoder(backbone, backend);
  const text = textOf(16, 1);
  const short = { ...backbone.config, ropeScaling: { ...backbone.config.ropeScaling!, pretrainingSequenceLength: 20 } };
  const never = new Phi3Backbone(short);
  never.variables.forEach((variable, i) => variable.value = backbone.variables[i]!.value);
  const other = new Decoder(never, backend);
  const [[long], [same]] = [await whole(decoder, [text]), await whole(other, [text])];
  assert(Math.max(...long!.map((value, i) => Math.abs(value - same![i]!))) > 1e-3);
  decoder.dispose();
  other.dispose();
  disposeValues(backbone.variables);
});
