import assert from "node:assert/strict";
import { DeviceMesh, getDeviceCount, listDevices, virtualDevices } from "./device_mesh.ts";

const devices = virtualDevices(16);

Deno.test("DeviceMesh has its axes, sizes and devices in order", () => {
  const mesh = new DeviceMesh([2, 8], ["batch", "model"], devices);
  assert.equal(mesh.size, 16);
  assert.equal(mesh.sizeOf("model"), 8);
  assert.deepEqual(mesh.axes, [{ name: "batch", size: 2 }, { name: "model", size: 8 }]);
  assert.equal(mesh.devices[8], "cpu:8");
  assert.equal(String(mesh), 'DeviceMesh([2, 8], ["batch", "model"])');
});

Deno.test("DeviceMesh takes devices of a backend as well as their ids", () => {
  const backend = { devices: [{ id: "cpu:0", kind: "cpu" }, { id: "cpu:1", kind: "cpu" }] };
  assert.deepEqual(new DeviceMesh([2], ["batch"], backend.devices).devices, ["cpu:0", "cpu:1"]);
  assert.deepEqual(new DeviceMesh([2], ["batch"], listDevices(backend)).devices, ["cpu:0", "cpu:1"]);
});

const wrong: readonly (readonly [what: string, shape: number[], names: string[], count: number, message: string])[] = [
  ["no axes", [], [], 1, "Cannot make a mesh without axes: give at least one size and one name"],
  ["more sizes than names", [2, 8], ["batch"], 16, 'Cannot make a 2×8 mesh: it has 2 sizes and 1 axis name ("batch")'],
  ["too few devices", [4, 8], ["batch", "model"], 16, "Cannot make a 4×8 mesh: it takes 32 devices, found 16"],
  [
    "too many devices",
    [2, 4],
    ["batch", "model"],
    16,
    "Cannot make a 2×4 mesh: it takes 8 devices, found 16; pass 8 of them",
  ],
  ["a duplicate axis", [4, 4], ["model", "model"], 16, 'Cannot make a 4×4 mesh: two axes are named "model"'],
  ["an empty name", [16], [""], 16, "Cannot make a 16 mesh: axis 0 has an empty name"],
  [
    "a size that is not an integer",
    [2.5, 2],
    ["a", "b"],
    5,
    'Cannot make a 2.5×2 mesh: axis "a" must have a positive integer as its size, found 2.5',
  ],
  [
    "an inferred size",
    [-1, 8],
    ["a", "b"],
    16,
    'Cannot make a -1×8 mesh: axis "a" must have a positive integer as its size, found -1',
  ],
];

for (const [what, shape, names, count, message] of wrong) {
  Deno.test(`DeviceMesh rejects ${what}`, () => {
    assert.throws(() => new DeviceMesh(shape, names, virtualDevices(count)), { message });
  });
}

Deno.test("DeviceMesh rejects a device that is given twice", () => {
  assert.throws(() => new DeviceMesh([2], ["a"], ["cpu:0", "cpu:0"]), /device "cpu:0" is given twice/);
});

Deno.test("sizeOf() takes only the mesh's own axes", () => {
  const mesh = new DeviceMesh([2, 8], ["batch", "model"], devices);
  // @ts-expect-error the mesh has no such axis
  assert.throws(() => mesh.sizeOf("modle"), /"modle"/);
});

Deno.test("listDevices() and getDeviceCount() tell the devices of a kind", () => {
  const backend = { devices: [{ id: "gpu:0" }, { id: "gpu:1" }, { id: "cpu:0" }] };
  assert.deepEqual(listDevices(backend), ["gpu:0", "gpu:1", "cpu:0"]);
  assert.deepEqual(listDevices(backend, "GPU"), ["gpu:0", "gpu:1"]);
  assert.equal(getDeviceCount(backend, "cpu"), 1);
  assert.equal(getDeviceCount(backend), 3);
});

Deno.test("virtualDevices() rejects counts that are none", () => {
  assert.throws(() => virtualDevices(0), RangeError);
  assert.throws(() => virtualDevices(1.5), RangeError);
});
