/** Sample calls of the quantization composites. */
import type { Quantization } from "../composites/quantization.ts";
import { codes, type OperandSample, positive, sample, type SampleTable, signed } from "./sample.ts";

/** Scales that leave elements of about one. */
function scales(shape: readonly number[], bits: 4 | 8): OperandSample {
  const { type, fill } = positive(shape);
  return { type, fill: (u, own) => Array.from(fill(u, own), (x) => x / 2 ** (bits - 1)) };
}

/** The samples of the quantization composites. */
export const quantizationSamples: SampleTable<Quantization> = {
  dequantize: [
    sample("one scale per row", [codes([4, 6]), scales([4, 1], 8)], { bits: 8, dtype: "float32" }),
    sample("blocks", [codes([2, 8]), scales([2, 2], 8)], { bits: 8, dtype: "float32" }),
    sample("4 bits in blocks", [codes([2, 8]), scales([2, 4], 4)], { bits: 4, dtype: "float32" }),
    sample("4 bits, one scale per row", [codes([2, 3]), scales([2, 1], 4)], { bits: 4, dtype: "float32" }),
    sample("blocks along two axes", [codes([4, 2, 4]), scales([2, 2, 4], 4)], { bits: 4, dtype: "float32" }),
    sample("a scale per element", [codes([2, 2]), scales([2, 2], 8)], { bits: 8, dtype: "float32" }),
    sample("bfloat16", [codes([2, 4]), scales([2, 2], 4)], { bits: 4, dtype: "bfloat16" }),
  ],
  quantizedEinsum: [
    sample("matrix", [signed([2, 6]), codes([4, 6]), scales([4, 1], 8)], {
      spec: "ti,oi->to",
      bits: 8,
      roundInput: false,
    }),
    sample("4 bits in blocks", [signed([2, 16]), codes([4, 8]), scales([4, 2], 4)], {
      spec: "ti,oi->to",
      bits: 4,
      roundInput: false,
    }),
    sample("heads out", [signed([2, 3, 32]), codes([2, 4, 32]), scales([2, 4, 1], 8)], {
      spec: "btd,nhd->btnh",
      bits: 8,
      roundInput: false,
    }),
    sample("heads in, 4 bits", [signed([1, 3, 2, 32]), codes([4, 2, 16]), scales([4, 2, 1], 4)], {
      spec: "btnh,dnh->btd",
      bits: 4,
      roundInput: false,
    }),
    sample("heads in, in another order", [signed([1, 3, 4, 2]), codes([4, 2, 4]), scales([4, 1, 1], 8)], {
      spec: "bthn,dnh->bdt",
      bits: 8,
      roundInput: false,
    }),
    sample("outputs summed, as in the gradient", [signed([2, 3, 4]), codes([4, 8]), scales([4, 4], 4)], {
      spec: "bto,oi->bti",
      bits: 4,
      roundInput: false,
    }),
    sample("bfloat16", [signed([2, 4], "bfloat16"), codes([4, 4]), scales([4, 1], 8)], {
      spec: "ti,oi->to",
      bits: 8,
      roundInput: false,
    }),
  ],
};
