/** Collectives between devices of this process, through host memory. */
import {
  type Collective,
  fromFloat32,
  hostArray,
  type HostTensor,
  hostZeros,
  isFloat,
  sizeOf,
  toFloat32,
} from "@tessera/core";
import type { Backend, Device, DeviceBuffer } from "../backend.ts";
import { cutBlock, pasteBlock } from "../blocks.ts";
import type { Communicator, Exchange, ExchangeName, Exchanges } from "./communicator.ts";
import { pause } from "./phases.ts";

type Reduce = Collective["allReduce"]["attrs"]["reduce"];

/** How many elements are summed before other work gets a turn. */
const mostAtOnce = 2 ** 21;

const reducers: { readonly [R in Reduce]: (total: Numbers, other: Numbers, begin: number, end: number) => void } = {
  sum: (total, other, begin, end) => {
    for (let i = begin; i < end; i++) total[i]! += other[i]!;
  },
  max: (total, other, begin, end) => {
    for (let i = begin; i < end; i++) total[i] = Math.max(total[i]!, other[i]!);
  },
  min: (total, other, begin, end) => {
    for (let i = begin; i < end; i++) total[i] = Math.min(total[i]!, other[i]!);
  },
};

type Numbers = Float32Array<ArrayBufferLike> | Int32Array<ArrayBufferLike> | Uint8Array<ArrayBufferLike>;

/** The elements as numbers to compute with: halves are summed in float32, and rounded once. */
function numbersOf(tensor: HostTensor): Numbers {
  return isFloat(tensor.dtype) ? toFloat32(tensor) : tensor.data as Numbers;
}

/** The devices' tensors summed, or the extremes of their elements; always in the order of the group, so that runs agree. */
async function reduced(parts: readonly DeviceBuffer[], reduce: Reduce): Promise<HostTensor> {
  const first = await parts[0]!.read();
  const total = numbersOf(first);
  for (const part of parts.slice(1)) {
    const other = numbersOf(await part.read());
    for (let begin = 0; begin < total.length; begin += mostAtOnce) {
      reducers[reduce](total, other, begin, Math.min(begin + mostAtOnce, total.length));
      if (begin + mostAtOnce < total.length) await pause();
    }
  }
  if (!isFloat(first.dtype)) return first;
  return fromFloat32(first.dtype, first.shape, total as Float32Array<ArrayBufferLike>);
}

/** The block of one of `count` equal slices along an axis. */
function partAlong(shape: readonly number[], axis: number, index: number, count: number) {
  const length = shape[axis]! / count;
  return { starts: shape.map((_, i) => i === axis ? index * length : 0), shape: shape.with(axis, length) };
}

/** Tensors concatenated along an axis. */
async function joined(parts: readonly (() => Promise<HostTensor> | HostTensor)[], axis: number): Promise<HostTensor> {
  let whole: HostTensor | null = null;
  for (const [i, partOf] of parts.entries()) {
    const part = await partOf();
    whole ??= hostZeros(part.dtype, part.shape.with(axis, part.shape[axis]! * parts.length));
    pasteBlock(part, whole, partAlong(whole.shape, axis, i, parts.length));
  }
  return whole!;
}

/** One row per collective: the operands of all devices of a group in, what each of them has afterwards out. */
const rules: {
  readonly [K in ExchangeName]: (
    group: readonly (readonly DeviceBuffer[])[],
    attrs: Collective[K]["attrs"],
  ) => Promise<readonly (readonly HostTensor[])[]>;
} = {
  allReduce: async (group, { reduce }) => {
    const results: HostTensor[] = [];
    for (const i of group[0]!.keys()) results.push(await reduced(group.map((operands) => operands[i]!), reduce));
    return group.map(() => results);
  },
  allGather: async (group, { axis }) => {
    const whole = await joined(group.map(([x]) => () => x!.read()), axis);
    return group.map(() => [whole]);
  },
  reduceScatter: async (group, { axis }) => {
    const whole = await reduced(group.map(([x]) => x!), "sum");
    return group.map((_, i) => [cutBlock(whole, partAlong(whole.shape, axis, i, group.length))]);
  },
  allToAll: async (group, { splitAxis, concatAxis }) => {
    const parts: HostTensor[] = [];
    for (const [x] of group) parts.push(await x!.read());
    const blockOf = ({ shape }: HostTensor, i: number) => partAlong(shape, splitAxis, i, group.length);
    const results: HostTensor[][] = [];
    for (const i of group.keys()) {
      results.push([await joined(parts.map((part) => () => cutBlock(part, blockOf(part, i))), concatAxis)]);
    }
    return results;
  },
};

/** The tensor in memory that no other device has. */
function ownCopy({ dtype, shape, data }: HostTensor): HostTensor {
  const copy = hostArray(dtype, sizeOf(shape));
  copy.set(data);
  return { dtype, shape, data: copy };
}

/** A collective that some devices of the group have already joined. */
interface Meeting {
  readonly operands: Map<number, readonly DeviceBuffer[]>;
  readonly results: PromiseWithResolvers<readonly (readonly DeviceBuffer[])[]>;
}

/** Carries data between devices of one backend through host memory. */
export function localCommunicator(backend: Backend, devices: readonly Device[]): Communicator {
  async function carryOut(
    { op, attrs, group }: Exchange,
    meeting: Meeting,
  ): Promise<readonly (readonly DeviceBuffer[])[]> {
    const rule = rules[op] as (
      group: readonly (readonly DeviceBuffer[])[],
      attrs: unknown,
    ) => ReturnType<typeof rules[typeof op]>;
    const found = await rule(group.map((device) => meeting.operands.get(device)!), attrs);
    return found.map((tensors, i) => tensors.map((tensor) => backend.upload(ownCopy(tensor), devices[group[i]!]!)));
  }

  function begin(): Exchanges {
    const meetings = new Map<string, Meeting>();
    let aborted: Error | null = null;
    return {
      async exchange(device, exchange, operands) {
        if (aborted !== null) throw aborted;
        const { step, group } = exchange;
        const key = `${step} ${group[0]}`;
        const meeting = meetings.get(key) ?? { operands: new Map(), results: Promise.withResolvers() };
        meetings.set(key, meeting);
        meeting.operands.set(device, operands);
        if (meeting.operands.size === group.length) {
          meetings.delete(key);
          carryOut(exchange, meeting).then(meeting.results.resolve, meeting.results.reject);
        }
        return [...(await meeting.results.promise)[group.indexOf(device)]!];
      },
      abort(reason) {
        aborted ??= reason;
        for (const { results } of meetings.values()) results.reject(aborted);
        meetings.clear();
      },
    };
  }

  return { begin };
}
