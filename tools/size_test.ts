import assert from "node:assert/strict";
import { formatSizes, measure } from "./size.ts";
import { withTree } from "./testing.ts";

const tree = {
  "package.json": '{ "workspaces": ["packages/*"] }',
  "packages/core/package.json": "{}",
  "packages/core/mod.ts": "one\ntwo\nthree\n",
  "packages/core/ops/add.ts": "one\n",
  "packages/core/ops/add_test.ts": "one\ntwo\n",
  "packages/core/node_modules/x/mod.ts": "not ours\n",
};

Deno.test("measure() counts source and tests apart", () => {
  withTree(tree, (root) => {
    assert.deepEqual(measure(root), [{ folder: "packages/core", files: 2, source: 4, tests: 2, longest: 3 }]);
  });
});

Deno.test("formatSizes() aligns columns and adds totals", () => {
  const sizes = [
    { folder: "packages/core", files: 2, source: 400, tests: 20, longest: 300 },
    { folder: "packages/nn", files: 10, source: 4, tests: 2, longest: 3 },
  ];
  assert.equal(
    formatSizes(sizes),
    [
      "               files  source  tests  longest",
      "packages/core      2     400     20      300",
      "packages/nn       10       4      2        3",
      "total             12     404     22      300",
    ].join("\n"),
  );
});
