import assert from "node:assert/strict";
import fc from "fast-check";
import {
  einsum,
  evaluate,
  gradients,
  type Graph,
  type HostTensor,
  hostTensor,
  normal,
  randomKey,
  sizeOf,
  type Tensor,
  type TensorType,
  toElements,
  trace,
} from "@tessera/core";
import { assertAllClose, randomGraph, randomGraphInputs } from "@tessera/core/testing";
import { DataParallel, DeviceMesh, replicated, shardGraph, type Sharding } from "@tessera/mesh";
import type { Backend, DeviceBuffer, Executable } from "../backend.ts";
import { compileSharded } from "./executor.ts";
import { referenceBackend } from "../reference_backend.ts";
import { scatter } from "./sharded_buffer.ts";

const float = (...shape: number[]) => ({ shape, dtype: "float32" } as const);

function draw(shape: readonly number[], seed: number): HostTensor<"float32"> {
  return hostTensor("float32", shape, normal(randomKey(seed), sizeOf(shape)));
}

function close(found: HostTensor, expected: HostTensor): void {
  assertAllClose(toElements(found), toElements(expected), { absolute: 1e-5, relative: 1e-5 });
}

/** A step of gradient descent on like layers, each of two kernels. */
function descent(layers: number): Graph {
  const kernels: Record<string, TensorType> = {};
  for (let i = 0; i < layers; i++) Object.assign(kernels, { [`up_${i}`]: float(6, 8), [`down_${i}`]: float(8, 6) });
  return trace("descent", { x: float(4, 6), ...kernels }, (inputs: Readonly<Record<string, Tensor>>) => {
    const weights = Object.keys(kernels).map((name) => inputs[name]!);
    let y = inputs.x!;
    for (let i = 0; i < layers; i++) {
      y = y.add(einsum("bf,fd->bd", einsum("bd,df->bf", y, weights[2 * i]!).tanh(), weights[2 * i + 1]!));
    }
    const loss = y.square().mean();
    const found = gradients(loss, weights);
    const updated = weights.map((weight, i) => [`new ${i}`, weight.sub(found[i]!.mul(0.1))] as const);
    return { loss, ...Object.fromEntries(updated) };
  });
}

const distribution = (devices: readonly string[]) =>
  new DataParallel({ mesh: new DeviceMesh([2, 2], ["batch", "model"], devices), batchDimName: "batch" });

/** Megatron's shardings of the inputs of `descent`. */
function shardingsOf(graph: Graph): Sharding[] {
  return graph.inputNames.map((name, i) => {
    const dims: Record<string, string[][]> = { x: [["batch"], []], up: [["batch"], ["model"]], down: [["model"], []] };
    return { ...replicated(graph.inputs[i]!.rank), dims: dims[name.split("_")[0]!]! };
  });
}

/** Compiles `descent` for a 2×2 mesh, its kernels donated, and gives its inputs. */
async function sharded(backend: Backend, layers: number) {
  const graph = descent(layers);
  const where = distribution(backend.devices.map(({ id }) => id));
  const shardings = shardingsOf(graph);
  const known = new Map(graph.inputs.map((input, i) => [input, shardings[i]!]));
  const partitioned = shardGraph(graph, where.mesh, known, [null, ...shardings.slice(1)]);
  const donate = new Map(shardings.slice(1).map((_, i) => [i + 1, i + 1]));
  const program = await compileSharded(partitioned, { backend, distribution: where, donate });
  const hosts = graph.inputs.map(({ shape }, i) => draw(shape, i));
  // State is updated in the memory that it was uploaded from.
  const inputs = graph.inputs.map(({ shape }, i) =>
    scatter(draw(shape, i), backend, { distribution: where, sharding: shardings[i]! })
  );
  return { graph, program, hosts, inputs };
}

/** A backend whose live buffers are counted, and of which chosen runs fail. */
function watched(deviceCount: number, fails: (device: string, run: number) => boolean = () => false) {
  const backend = referenceBackend({ deviceCount });
  const live = new Set<DeviceBuffer>();
  const watch = (buffer: DeviceBuffer) => {
    if (live.has(buffer)) return buffer;
    live.add(buffer);
    const dispose = buffer.dispose.bind(buffer);
    buffer.dispose = () => {
      live.delete(buffer);
      dispose();
    };
    return buffer;
  };
  const runs = new Map<string, number>();
  return {
    live,
    backend: {
      ...backend,
      upload: (...given: Parameters<Backend["upload"]>) => watch(backend.upload(...given)),
      async compile(...given: Parameters<Backend["compile"]>): Promise<Executable> {
        const program = await backend.compile(...given);
        return {
          ...program,
          async run(inputs) {
            const { id } = inputs[0]!.device;
            const run = runs.get(id) ?? 0;
            runs.set(id, run + 1);
            if (fails(id, run)) throw new Error("out of memory");
            return (await program.run(inputs)).map(watch);
          },
        };
      },
    },
  };
}

Deno.test("a step on four devices is a step on one, again and again, and state stays in its buffers", async () => {
  const { backend, live } = watched(4);
  const { graph, program, hosts, inputs } = await sharded(backend, 2);
  const before = live.size;
  let expected = hosts;
  for (let step = 0; step < 3; step++) {
    const [loss, ...updated] = evaluate(graph, expected);
    const [found, ...state] = await program.run(inputs);
    state.forEach((buffer, i) => assert.equal(buffer, inputs[i + 1]));
    close(await found!.read(), loss!);
    found!.dispose();
    expected = [hosts[0]!, ...updated as HostTensor<"float32">[]];
  }
  for (const [i, input] of inputs.entries()) close(await input.read(), expected[i]!);
  // Disposing waits for its turn.
  await Promise.resolve();
  assert.equal(live.size, before, "a run leaves nothing behind");
});

Deno.test("segments of like layers are compiled once", async () => {
  const [few, many] = await Promise.all([3, 6].map((layers) => sharded(referenceBackend({ deviceCount: 4 }), layers)));
  const segments = (steps: readonly { readonly kind: string }[]) =>
    steps.filter(({ kind }) => kind === "segment").length;
  assert(segments(many!.program.steps) > segments(few!.program.steps));
  assert.equal(many!.program.compiled, few!.program.compiled);
});

Deno.test("kernels are gathered when their layer comes, not all at the start", async () => {
  const { program: { steps } } = await sharded(referenceBackend({ deviceCount: 4 }), 4);
  const kinds = steps.map((step) => step.kind === "segment" ? "-" : step.exchange.op);
  const gathers = kinds.flatMap((kind, i) => kind === "allGather" ? [i] : []);
  assert(gathers.length >= 4);
  assert(gathers.some((at) => kinds.slice(0, at).includes("allReduce")), kinds.join(" "));
});

Deno.test("when a device fails the run rejects, naming it, frees what it made, and the next run works", async () => {
  for (const failing of [0, 2, 5]) {
    let broken = true;
    const { backend, live } = watched(4, (device, run) => broken && device === "reference:2" && run >= failing);
    const { graph, program, hosts, inputs } = await sharded(backend, 2);
    const before = live.size;
    await assert.rejects(program.run(inputs), /"descent": device reference:2 failed in step \d+ of \d+: out of memory/);
    assert.equal(live.size, before, "a run that failed leaves nothing behind");
    broken = false;
    const fresh = hosts.map((host, i) => inputs[i]!.write(host));
    await Promise.all(fresh);
    close(await (await program.run(inputs))[0]!.read(), evaluate(graph, hosts)[0]!);
  }
});

Deno.test("runs that share state take turns", async () => {
  const { graph, program, hosts, inputs } = await sharded(referenceBackend({ deviceCount: 4 }), 1);
  const [[first], [second]] = await Promise.all([program.run(inputs), program.run(inputs)]);
  const [loss, ...updated] = evaluate(graph, hosts);
  close(await first!.read(), loss!);
  close(await second!.read(), evaluate(graph, [hosts[0]!, ...updated])[0]!);
});

Deno.test("inputs that are returned, and values that are returned twice, come in buffers of their own", async () => {
  const backend = referenceBackend({ deviceCount: 4 });
  const graph = trace("copies", { x: float(4) }, ({ x }) => {
    const y = x.mul(2);
    return { x, y, again: y, ones: x.mul(0).add(1) };
  });
  const where = distribution(backend.devices.map(({ id }) => id));
  const sharding = { dims: [["batch"]], partial: [] };
  const partitioned = shardGraph(graph, where.mesh, new Map([[graph.inputs[0]!, sharding]]));
  const program = await compileSharded(partitioned, { backend, distribution: where });
  const x = scatter(draw([4], 1), backend, { distribution: where, sharding });
  const found = await program.run([x]);
  assert.equal(new Set([x, ...found].flatMap((buffer) => (buffer as typeof x).parts)).size, 5 * 4);
  for (const [i, expected] of evaluate(graph, [draw([4], 1)]).entries()) close(await found[i]!.read(), expected);
});

Deno.test("random graphs under random shardings run as on one device", async () => {
  const backend = referenceBackend({ deviceCount: 6 });
  const mesh = new DeviceMesh([2, 3], ["batch", "model"], backend.devices);
  const where = new DataParallel({ mesh });
  const numbers = (length: number) => fc.array(fc.nat(1000), { minLength: length, maxLength: length });
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(1000), { maxLength: 24 }), numbers(12), async (choices, picks) => {
      const graph = randomGraph(choices);
      const hosts = randomGraphInputs(3);
      const source = picks.values();
      const known = new Map(graph.inputs.map((tensor) => [tensor, randomSharding(tensor, mesh, source)]));
      const partitioned = shardGraph(
        graph,
        mesh,
        known,
        graph.outputs.map((tensor) => randomSharding(tensor, mesh, source)),
      );
      const program = await compileSharded(partitioned, { backend, distribution: where });
      const inputs = hosts.map((host, i) =>
        scatter(host, backend, { distribution: where, sharding: partitioned.inputs[i]! })
      );
      const found = await program.run(inputs);
      for (const [i, expected] of evaluate(graph, hosts).entries()) close(await found[i]!.read(), expected);
    }),
    { seed: 5, numRuns: 150 },
  );
});

/** A sharding that divides, made of numbers. */
function randomSharding(tensor: Tensor, mesh: DeviceMesh, source: Iterator<number>): Sharding {
  const dims: string[][] = tensor.shape.map(() => []);
  const lengths = [...tensor.shape];
  for (const { name, size } of mesh.axes) {
    const axis = (source.next().value ?? 0) % (tensor.rank + 1);
    if (axis === tensor.rank || lengths[axis]! % size !== 0) continue;
    lengths[axis]! /= size;
    dims[axis]!.push(name);
  }
  return { dims, partial: [] };
}

Deno.test("compileSharded() rejects a mesh of devices that the backend lacks", async () => {
  const graph = trace("double", { x: float(4) }, ({ x }) => ({ y: x.mul(2) }));
  const where = distribution(["reference:0", "reference:1", "reference:2", "reference:3"]);
  const partitioned = shardGraph(graph, where.mesh, new Map());
  await assert.rejects(
    compileSharded(partitioned, { backend: referenceBackend({ deviceCount: 2 }), distribution: where }),
    /no device "reference:2", only 2 devices.*\{ deviceCount: 4 \}/,
  );
});

Deno.test("a run names the input that lies otherwise than the program was compiled for", async () => {
  const backend = referenceBackend({ deviceCount: 4 });
  const { program, inputs } = await sharded(backend, 1);
  const whole = backend.upload(draw([4, 6], 0));
  await assert.rejects(
    program.run([whole, ...inputs.slice(1)]),
    /input "x" needs float32\[4,6\] as \[batch, -\].*reference:0/,
  );
  await assert.rejects(program.run([inputs[0]!, inputs[1]!]), /3 inputs, found 2/);
  inputs[1]!.dispose();
  await assert.rejects(program.run(inputs), /input "up_0" was disposed/);
});
