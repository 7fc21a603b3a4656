import assert from "node:assert/strict";
import { DeviceMesh, virtualDevices } from "../layout/device_mesh.ts";
import { deviceLabel, shardingGrid } from "./sharding_grid.ts";
import { shardingSvg } from "./sharding_svg.ts";
import { TensorLayout } from "../layout/tensor_layout.ts";
import { visualizeSharding } from "./visualize.ts";

const mesh = new DeviceMesh([2, 2], ["batch", "model"], virtualDevices(4));
const plain = { width: 80, color: false };

Deno.test("visualizeSharding() draws the block of each device", () => {
  assert.equal(
    visualizeSharding([16, 3072], new TensorLayout(["model", "batch"], mesh), mesh, { width: 40, color: false }),
    `\
[16, 3072] PartitionSpec('model', 'batch')
each device holds [8, 1536], 1/4
           axis 1: 3072 over batch (2)
           ┌─────────────┬─────────────┐
axis 0: 16 │             │             │
model (2)  │      0      │      2      │
           │             │             │
           ├─────────────┼─────────────┤
           │             │             │
           │      1      │      3      │
           │             │             │
           └─────────────┴─────────────┘
numbers are cpu devices`,
  );
});

Deno.test("visualizeSharding() draws a split over two axes with the first outermost", () => {
  const { holders } = shardingGrid([8], { dims: [["model", "batch"]], partial: [] }, mesh);
  assert.deepEqual(holders, [[[0], [2], [1], [3]]]);
});

Deno.test("visualizeSharding() puts copies in one box and says how many", () => {
  const text = visualizeSharding([3072, 24576], new TensorLayout([null, "model"], mesh), mesh, plain);
  assert.match(text, /each device holds \[3072, 12288\], 1\/2, in 2 copies/);
  assert.match(text, /│ +0, 2 +│ +1, 3 +│/);
});

Deno.test("visualizeSharding() draws the two axes that are split most and says what the others do", () => {
  const cube = new DeviceMesh([2, 2, 4], ["a", "b", "c"], virtualDevices(16));
  const text = visualizeSharding([4, 4, 8, 3], { dims: [["a"], ["b"], ["c"], []], partial: [] }, cube, plain);
  assert.match(text, /axes 0 and 2 are drawn, axis 3 whole/);
  assert.match(text, /the devices of a box split axis 1 into 2 over b \(2\)/);
  assert.match(text, /│ +0, 4 +│ +1, 5 +│ +2, 6 +│ +3, 7 +│/);
});

Deno.test("visualizeSharding() says of partial sums that they are none of them copies", () => {
  const text = visualizeSharding([8, 8], { dims: [["model"], []], partial: ["batch"] }, mesh, plain);
  assert.match(text, /values are partial sums over batch/);
  assert.doesNotMatch(text, /copies/);
});

Deno.test("visualizeSharding() draws scalars and vectors", () => {
  assert.match(visualizeSharding([], new TensorLayout([], mesh), mesh, plain), /│ +0–3 +│/);
  assert.match(visualizeSharding([8], new TensorLayout(["model"], mesh), mesh, plain), /│ +0, 2 +│ +1, 3 +│/);
});

Deno.test("visualizeSharding() keeps to the width and leaves out the middle", () => {
  const large = new DeviceMesh([16, 16], ["batch", "model"], virtualDevices(256));
  for (const width of [40, 60, 80, 200]) {
    const text = visualizeSharding([256, 4096], new TensorLayout(["batch", "model"], large), large, {
      width,
      color: false,
    });
    const boxes = text.split("\n").filter((line) => /[┌│├└]/.test(line));
    assert(boxes.every((line) => line.length <= width), text);
    assert.equal(text.includes("…"), width < 200);
    assert.match(text, / 255 +│/);
  }
});

Deno.test("visualizeSharding() colors boxes only when it is told to", () => {
  const layout = new TensorLayout(["model", "batch"], mesh);
  const colored = visualizeSharding([4, 4], layout, mesh, { width: 80, color: true });
  assert.equal(
    // deno-lint-ignore no-control-regex
    colored.replaceAll(/\x1b\[[\d;]*m/g, ""),
    visualizeSharding([4, 4], layout, mesh, plain),
  );
  assert.notEqual(colored, visualizeSharding([4, 4], layout, mesh, plain));
});

Deno.test("visualizeSharding() rejects a sharding of another rank or mesh", () => {
  assert.throws(() => visualizeSharding([4], { dims: [[], []], partial: [] }, mesh), /it has 1 axes, the sharding 2/);
  assert.throws(() => visualizeSharding([4], { dims: [["x"]], partial: [] }, mesh), /and no "x"/);
});

Deno.test("deviceLabel() joins neighbors and even steps, and gives ids where kinds differ", () => {
  const cpus = { axes: [], devices: virtualDevices(32) };
  assert.equal(deviceLabel([0, 1, 2, 3, 8], cpus), "0–3, 8");
  assert.equal(deviceLabel([0, 1], cpus), "0, 1");
  assert.equal(deviceLabel([0, 8, 16, 24], cpus), "0, 8, 16, 24");
  assert.equal(deviceLabel([0, 4, 8, 12, 16, 20, 24, 28], cpus), "0, 4, … 28");
  assert.equal(deviceLabel([0, 1], { axes: [], devices: ["cpu:0", "gpu:0"] }), "cpu:0, gpu:0");
});

Deno.test("shardingSvg() has a box per block, and escapes what it is given", () => {
  const svg = shardingSvg([16, 3072], new TensorLayout(["model", "batch"], mesh), mesh, { name: 'a<b>&"c"' });
  assert.equal(svg.match(/<rect /g)!.length, 4);
  assert.match(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" .* class="sharding" role="img">/);
  assert.match(svg, /<title>a&lt;b&gt;&amp;&quot;c&quot; \[16, 3072\] PartitionSpec\('model', 'batch'\)/);
  assert.match(svg, /prefers-color-scheme:dark/);
});
