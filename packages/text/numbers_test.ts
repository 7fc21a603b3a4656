import assert from "node:assert/strict";
import { formatBytes, formatCount, formatDuration, formatNumber } from "./numbers.ts";

Deno.test("formatCount() separates thousands", () => {
  assert.equal(formatCount(14536704), "14,536,704");
  assert.equal(formatCount(999), "999");
  assert.equal(formatCount(-1234.6), "-1,235");
});

Deno.test("formatNumber() keeps four significant digits", () => {
  const cases: [number, string][] = [
    [2.34567, "2.346"],
    [0.0123456, "0.01235"],
    [0.0002, "2.000e-4"],
    [12345.6, "12,346"],
    [9999.6, "10,000"],
    [1234.5, "1,235"],
    [999.4, "999.4"],
    [-3, "-3.000"],
    [0, "0"],
    [NaN, "NaN"],
    [Infinity, "Infinity"],
  ];
  for (const [value, text] of cases) assert.equal(formatNumber(value), text);
});

Deno.test("formatBytes() takes the unit that keeps the number short", () => {
  const cases: [number, string][] = [
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.00 KiB"],
    [1536, "1.50 KiB"],
    [10 * 1024, "10.0 KiB"],
    [1024 ** 2 - 1, "1.00 MiB"],
    [17.25 * 1024 ** 3, "17.3 GiB"],
    [999 * 1024 ** 3, "999 GiB"],
    [2 ** 70, "1048576 PiB"],
  ];
  for (const [bytes, text] of cases) assert.equal(formatBytes(bytes), text);
});

Deno.test("formatDuration() shows the two largest units", () => {
  const cases: [number, string][] = [
    [0, "0ms"],
    [0.85, "850ms"],
    [0.9999, "1.0s"],
    [4.21, "4.2s"],
    [9.97, "10s"],
    [59.6, "1m00s"],
    [125, "2m05s"],
    [3599.7, "1h00m"],
    [3725, "1h02m"],
    [90_000 + 10_800, "1d04h"],
    [Infinity, "?"],
  ];
  for (const [seconds, text] of cases) assert.equal(formatDuration(seconds), text);
});
