import assert from "node:assert/strict";
import { DeviceMesh, virtualDevices } from "./device_mesh.ts";
import { factorLayouts, layoutOfSlot } from "./slot_layout.ts";
import { type LayoutSpec, TensorLayout } from "./tensor_layout.ts";

const mesh = new DeviceMesh([2, 4], ["batch", "model"], virtualDevices(8));
const lay = (spec: LayoutSpec<"batch" | "model">) => new TensorLayout(spec, mesh);

Deno.test("layoutOfSlot() is the layout of the variable, or of the axes that the slot keeps", () => {
  const layout = lay(["model", "batch", null]);
  assert.equal(layoutOfSlot(layout), layout);
  assert.deepEqual(layoutOfSlot(layout, [0, 2]).dims, [["model"], []]);
  assert.deepEqual(layoutOfSlot(layout, []).dims, []);
  assert.deepEqual(layoutOfSlot(lay(["model"]), [1]).dims, [[]]);
  assert.throws(() => layoutOfSlot(layout, [-1]), RangeError);
});

const cases: readonly {
  what: string;
  equation: string;
  kernel: LayoutSpec<"batch" | "model">;
  letters: [a: string, b: string];
  a: string[][];
  b: string[][];
}[] = [
  {
    what: "copies A and splits B of a column-parallel kernel",
    equation: "btd,ndh->btnh",
    kernel: ["model", null, null],
    letters: ["dz", "znh"],
    a: [[], []],
    b: [[], ["model"], []],
  },
  {
    what: "splits A and copies B of a row-parallel kernel",
    equation: "btnh,nhd->btd",
    kernel: ["model", null, null],
    letters: ["nhz", "zd"],
    a: [["model"], [], []],
    b: [[], []],
  },
  {
    what: "follows Keras's factors of the last axis only",
    equation: "btd,ndh->btnh",
    kernel: ["model", "batch", null],
    letters: ["ndz", "zh"],
    a: [["model"], ["batch"], []],
    b: [[], []],
  },
  {
    what: "splits B of a feed-forward kernel by its outputs",
    equation: "btd,df->btf",
    kernel: [null, ["batch", "model"]],
    letters: ["dz", "zf"],
    a: [[], []],
    b: [[], ["batch", "model"]],
  },
];

for (const { what, equation, kernel, letters, a, b } of cases) {
  Deno.test(`factorLayouts() ${what}`, () => {
    const found = factorLayouts(equation, lay(kernel), ...letters);
    assert.deepEqual([found.a.dims, found.b.dims], [a, b]);
  });
}

Deno.test("factorLayouts() copies factors over the axes that are named", () => {
  const layout = lay(["model", "batch", null]);
  const { a, b } = factorLayouts("btd,ndh->btnh", layout, "dz", "znh", { copyOver: ["batch"] });
  assert.deepEqual([a.dims, b.dims], [[[], []], [[], ["model"], []]]);
});

Deno.test("factorLayouts() rejects a layout with more entries than the kernel has axes", () => {
  assert.throws(
    () => factorLayouts("btd,df->btf", lay(["model", null, null]), "dz", "zf"),
    /the kernel has 2 axes, its layout PartitionSpec\('model', None, None\) has 3 entries/,
  );
});
