import assert from "node:assert/strict";
import type { OnnxModel } from "../model/description.ts";
import { encodeModel } from "../model/encode.ts";
import { float, sample } from "../testing/run.ts";
import { acquireEnvironment, type Environment } from "./environment.ts";
import { newSession } from "./session.ts";
import { allocateValue, bytesOfValue, readValue, valueOver } from "./value.ts";

const size = 512;
const square = float(size, size);

/** Products in a chain, long enough to be interrupted. */
function chain(length: number): OnnxModel {
  const names = Array.from({ length: length + 1 }, (_, i) => i === 0 ? "x" : `y${i}`);
  return {
    name: "chain",
    inputs: [{ name: "x", ...square }],
    outputs: [{ name: names[length]!, ...square }],
    initializers: [],
    nodes: names.slice(1).map((name, i) => ({
      op: "MatMul",
      domain: "",
      inputs: [names[i]!, "x"],
      outputs: [{ name, ...square }],
      attributes: {},
    })),
  };
}

function signature(model: OnnxModel) {
  const names = (values: OnnxModel["inputs"]) => values.map((value) => value.name);
  return { inputNames: names(model.inputs), outputNames: names(model.outputs), outputTypes: [square] };
}

async function withEnvironment(body: (environment: Environment) => Promise<void>): Promise<void> {
  const environment = acquireEnvironment({ threads: 2 });
  try {
    await body(environment);
  } finally {
    environment.release();
  }
}

Deno.test("newSession() rejects with ONNX Runtime's message when the model is no model", async () => {
  await withEnvironment(async (environment) => {
    const model = chain(1);
    await assert.rejects(newSession(environment, encodeModel(model).subarray(0, 30), signature(model)), {
      name: "OrtError",
      message: /Failed to load model/,
    });
  });
});

Deno.test("run() ends early when its signal fires", async () => {
  await withEnvironment(async (environment) => {
    const model = chain(400);
    const session = await newSession(environment, encodeModel(model), signature(model));
    const x = valueOver(environment, square, new Float32Array(size * size));
    await assert.rejects(session.run([x], [null], AbortSignal.timeout(20)), { name: "TimeoutError" });
    await assert.rejects(async () => await session.run([x], [null], AbortSignal.abort()), { name: "AbortError" });
    x.release();
    await session.release();
  });
});

Deno.test("run() writes an output into a value that was given for it", async () => {
  await withEnvironment(async (environment) => {
    const model = chain(1);
    const session = await newSession(environment, encodeModel(model), signature(model));
    const identity = Float32Array.from({ length: size * size }, (_, i) => i % (size + 1) === 0 ? 2 : 0);
    const [x, y] = [valueOver(environment, square, identity), allocateValue(environment, square)];
    assert.deepEqual(await session.run([x], [y]), [y]);
    const [first, second] = new Float32Array(bytesOfValue(environment, y).buffer);
    assert.deepEqual([first, second], [4, 0]);
    [x, y].forEach((value) => value.release());
    await session.release();
    await assert.rejects(async () => await session.run([x], [null]), { message: /disposed/ });
  });
});

Deno.test("valueOver() shares memory with the array and readValue() copies", async () => {
  await withEnvironment((environment) => {
    const data = sample(4);
    const value = valueOver(environment, float(4), data);
    const copy = readValue(environment, value);
    data[0] = 42;
    assert.equal(new Float32Array(bytesOfValue(environment, value).buffer)[0], 42);
    assert.notEqual(copy[0], 42);
    value.release();
    value.release();
    assert.throws(() => valueOver(environment, float(3), data), {
      name: "RangeError",
      message: /12 bytes .* 16 bytes/,
    });
    return Promise.resolve();
  });
});
