/** An engine that runs the programs of a GPU thread by thread, and refuses those that are right only on some GPUs. */

import { type DType, hostArray, sizeOf, type TensorType } from "@tessera/core";
import { MathBackendCPU } from "@tensorflow/tfjs-backend-cpu";
import type { DataId } from "@tensorflow/tfjs-core";
import {
  castProgram,
  fitsBinding,
  isPacked,
  packWords,
  piecesOf,
  type Program,
  type ProgramInput,
  retain,
  rowsPerPart,
  storageOf,
  storedShape,
  unpackWords,
  type UpdateProgram,
  type Value,
  type WebgpuEngine,
  wordsOf,
} from "@tessera/backend-webgpu/programs";
import { constantArray, outlineArray, type ProgramArray, SharedArray, type Words } from "./memory.ts";
import { runThreads } from "./run_threads.ts";
import { translate, type Translation } from "./translate.ts";

/** How many buffers WebGPU promises that a program can read and write. */
const mostBuffers = 8;

/** What memory that nobody wrote holds. */
const garbage = 0x5bad5bad;

/** So few multiplications that programs are cut into several dispatches here, too. */
const fewWork = 2 ** 17;

/** The groups that tfjs makes of a number of them. */
function flatGroups(count: number): readonly [number, number, number] {
  const side = Math.ceil(Math.sqrt(count));
  return count <= 65535 ? [count, 1, 1] : [side, side, 1];
}

/** How the engine is set up. */
export interface SlowEngineOptions {
  /** The most bytes of a tensor that a program reads or writes. */
  readonly bindingBytes?: number | undefined;
  /** Whether nothing is computed but places, so that tensors of any size take no memory. */
  readonly outline?: boolean;
}

/** The engine, on which there are tensors without content, too. */
export interface SlowEngine extends WebgpuEngine {
  /** A tensor without content. */
  empty(type: TensorType): Value;
}

/** Starts an engine. */
export function slowEngine({ bindingBytes = 2 ** 27, outline = false }: SlowEngineOptions = {}): SlowEngine {
  const store = new MathBackendCPU();
  // tfjs would greet on standard error and recommend another package.
  Object.assign(store, { firstUse: false });
  const translations = new Map<string, Translation>();

  const wordsAt = (dataId: DataId) => store.data.get(dataId).values as Words;
  const checked = new Set<string>();
  const make = ({ dtype, shape }: TensorType, words?: Words): Value => {
    const { dataId } = store.makeTensorInfo(storedShape({ dtype, shape }), storageOf(dtype), words as never);
    return { dataId, dtype, shape };
  };
  const copy = (value: Value) => make(value, outline ? undefined : wordsAt(value.dataId).slice());

  /** What a tensor that nobody wrote holds. */
  function fresh(type: TensorType): Value {
    if (outline) return make(type);
    const words = wordsOf(type);
    const isFloat = storageOf(type.dtype) === "float32";
    return make(type, isFloat ? new Float32Array(words).fill(NaN) : new Int32Array(words).fill(garbage));
  }

  function bind({ name, value, vectors }: ProgramInput, isWritten = false): ProgramArray {
    if (!fitsBinding(value, bindingBytes)) throw new RangeError(`${name} is too large to bind`);
    const width = vectors === true ? 4 : 1;
    if (outline) return outlineArray(name, Math.floor(wordsOf(value) / width), width);
    const words = wordsAt(value.dataId);
    return isWritten ? new SharedArray(name, words, width) : constantArray(name, words, width);
  }

  /** WebGPU lets a program read what it writes through the same binding only. */
  function check(written: readonly Value[], read: readonly ProgramInput[]): void {
    if (written.length + read.length > mostBuffers) throw new RangeError("Cannot bind more than 8 buffers");
    const ids = written.map(({ dataId }) => dataId);
    const twice = ids.some((id, i) => ids.indexOf(id) !== i) || read.some(({ value }) => ids.includes(value.dataId));
    if (twice) throw new Error("Cannot bind a buffer that the program writes a second time: one binding has to do");
  }

  function translated(code: string, inputs: readonly ProgramInput[], uniforms: Readonly<Record<string, string>>) {
    const known = translations.get(code);
    if (known !== undefined) return known;
    const typeOf = ({ value, vectors }: ProgramInput) => {
      const of = storageOf(value.dtype) === "float32" ? "f32" : "i32";
      return vectors === true ? `vec4<${of}>` : of;
    };
    const found = translate(code, Object.fromEntries(inputs.map((input) => [input.name, typeOf(input)])), {
      localIndex: "u32",
      workgroupId: "vec3<u32>",
      ...Object.fromEntries(Object.entries(uniforms).map(([name, of]) => [`uniforms.${name}`, of])),
    });
    translations.set(code, found);
    return found;
  }

  const engine: SlowEngine = {
    kernels: "cpu",
    store,
    bindingBytes,
    upload(tensor) {
      const { dtype, shape, data } = tensor;
      const rows = rowsPerPart(tensor, bindingBytes);
      if (rows === null) {
        const words = isPacked(dtype) ? packWords(tensor) : dtype === "bool" ? Int32Array.from(data) : data.slice();
        return make(tensor, words as Words);
      }
      const width = sizeOf(shape.slice(1));
      const parts = Array.from({ length: Math.ceil(shape[0]! / rows) }, (_, i) => {
        const own = data.subarray(i * rows * width, (i + 1) * rows * width);
        return engine.upload({ dtype, shape: [own.length / width, ...shape.slice(1)], data: own });
      });
      return { dataId: parts[0]!.dataId, dtype, shape, parts };
    },
    read({ dataId, dtype, shape }) {
      const data = hostArray(dtype, sizeOf(shape));
      const words = wordsAt(dataId);
      data.set(isPacked(dtype) ? unpackWords({ dtype, shape }, words.buffer, words.byteOffset).data : words);
      return Promise.resolve({ dtype, shape, data });
    },
    widen: (value) => engine.run(castProgram(value, "float32")),
    narrow: (value, dtype: DType) => engine.run(castProgram(value, dtype)),
    run(whole: Program) {
      const { name, code, inputs, output, into, inPlace, uniforms = [], ...program } = whole;
      const { groups, groupSize = [64, 1, 1], writesVectors = false } = program;
      const size = groupSize[0] * groupSize[1] * groupSize[2];
      const result = into === undefined ? fresh(output) : inPlace === true ? retain(engine, into) : copy(into);
      const target: ProgramInput = {
        name: "result",
        value: { ...output, dataId: result.dataId },
        vectors: writesVectors,
      };
      try {
        check([result], inputs);
        const bound = [target, ...inputs].map(({ value }) => `${value.dtype}${value.shape}`);
        const key = `${code} ${bound} ${groups} ${uniforms.map(({ value }) => value)}`;
        if (outline && checked.has(key)) return { ...output, dataId: result.dataId };
        checked.add(key);
        const types = {
          NAN: "f32",
          INFINITY: "f32",
          ...Object.fromEntries(uniforms.map(({ name, type }) => [name, type === "int32" ? "i32" : "f32"])),
        };
        const arrays = Object.fromEntries(
          [target, ...inputs].map((input) => [input.name, bind(input, input === target)]),
        );
        const translation = translated(code, [target, ...inputs], types);
        const given = Object.fromEntries(uniforms.map(({ name, value }) => [name, value]));
        const flat = flatGroups(Math.ceil((program.threads ?? wordsOf(output)) / size));
        for (const piece of outline ? piecesOf(whole) : piecesOf(whole, fewWork)) {
          runThreads({
            translation,
            arrays,
            uniforms: { NAN: NaN, INFINITY: Infinity, ...given, firstGroup: piece.firstGroup },
            groups: groups === undefined ? flat : piece.groups,
            groupSize: size,
            outline,
          });
        }
        const written = arrays.result;
        const missing = into === undefined && written instanceof SharedArray ? written.unwritten() : -1;
        if (missing >= 0) throw new Error(`Nobody writes result[${missing}]`);
      } catch (cause) {
        throw new Error(`Cannot run "${name}": ${cause instanceof Error ? cause.message : cause}\n${code}`, { cause });
      }
      return { ...output, dataId: result.dataId };
    },
    update({ name, code, changed, inputs }: UpdateProgram) {
      check(changed.map(({ value }) => value), inputs);
      const count = wordsOf(changed[0]!.value);
      const all = [...changed, ...inputs];
      const whole = `${code}\nfn main(index : i32) { if (index < ${count}) { update(u32(index)); } }`;
      try {
        runThreads({
          translation: translated(whole, all, {}),
          arrays: Object.fromEntries(all.map((input) => [input.name, bind(input, changed.includes(input))])),
          uniforms: {},
          groups: flatGroups(Math.ceil(count / 64)),
          groupSize: 64,
          outline,
        });
      } catch (cause) {
        throw new Error(`Cannot run "${name}": ${cause instanceof Error ? cause.message : cause}\n${code}`, { cause });
      }
    },
    copy,
    empty(type) {
      const { dtype, shape } = type;
      const rows = rowsPerPart(type, bindingBytes);
      if (rows === null) return make(type);
      const parts = Array.from(
        { length: Math.ceil(shape[0]! / rows) },
        (_, i) => make({ dtype, shape: [Math.min(rows, shape[0]! - i * rows), ...shape.slice(1)] }),
      );
      return { dataId: parts[0]!.dataId, dtype, shape, parts };
    },
    memory: () => ({ usedBytes: 0, allocatedBytes: 0, peakBytes: 0 }),
    resetPeak: () => {},
    flush: () => Promise.resolve(),
    liveValues: () => store.numDataIds(),
    dispose: () => store.dispose(),
  };
  return engine;
}
