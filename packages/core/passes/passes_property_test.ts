import fc from "fast-check";
import { type FloatDType, formatType } from "../values/dtype.ts";
import { printGraph } from "../graph/print.ts";
import { evaluate } from "../reference/evaluate.ts";
import type { Graph } from "../graph/tensor.ts";
import { assertAllClose, randomGraph, randomGraphInputs, tolerances } from "../testing.ts";
import { verify } from "../graph/verify.ts";
import { cancelTransposes } from "./cancel_transposes.ts";
import { eliminateCommonSubexpressions } from "./common_subexpressions.ts";
import { eliminateDeadCode } from "./dead_code.ts";
import { decompose } from "./decompose.ts";
import { foldConstants } from "./fold_constants.ts";
import { legalize } from "./legalize.ts";
import { moveFactors } from "./move_factors.ts";
import { optimize } from "./optimize.ts";

// fast-check prints the seed and the smallest failing choices; SEED tries others.
const settings = { seed: Number(Deno.env.get("SEED") ?? 20), numRuns: 150 };
const choices = fc.array(fc.nat(9999), { maxLength: 30, size: "max" });

const float32Only = { computes: new Set(["float32", "int32", "bool"] as const), moves: new Set([]) };

const passes: Readonly<Record<string, (graph: Graph) => Graph>> = {
  decompose: (graph) => decompose(graph),
  eliminateDeadCode,
  eliminateCommonSubexpressions,
  foldConstants,
  cancelTransposes,
  moveFactors,
  optimize,
  "optimize after decompose": (graph) => optimize(decompose(graph)),
  "optimize twice": (graph) => optimize(optimize(graph)),
  // It keeps the intermediate values of composites in float32, so only primitives compare to within a rounding.
  "legalize after decompose": (graph) => legalize(decompose(graph), float32Only),
};

function checkPreserves(name: string, pass: (graph: Graph) => Graph, dtype: FloatDType) {
  fc.assert(
    fc.property(choices, fc.nat(99), (list, seed) => {
      const graph = verify(randomGraph(list, dtype));
      const inputs = randomGraphInputs(seed, dtype);
      const before = printGraph(graph);
      const changed = verify(pass(graph), name);
      const [expected, found] = [evaluate(graph, inputs), evaluate(changed, inputs)];
      expected.forEach((tensor, i) => assertAllClose(found[i]!, tensor, tolerances[dtype]));
      if (printGraph(graph) !== before) throw new Error(`${name} changed the graph that it was given`);
    }),
    settings,
  );
}

for (const [name, pass] of Object.entries(passes)) {
  for (const dtype of ["float32", "bfloat16"] as const) {
    Deno.test(`${name} preserves what ${dtype} graphs compute`, () => checkPreserves(name, pass, dtype));
  }
}

Deno.test("legalize leaves an unsupported dtype to casts, inputs and outputs", () => {
  fc.assert(
    fc.property(choices, (list) => {
      for (const node of legalize(randomGraph(list, "float16"), float32Only).nodes) {
        if (node.op === "cast") continue;
        const wrong = [...node.operands, ...node.results].find(({ dtype }) => dtype === "float16");
        if (wrong !== undefined) throw new Error(`${node.op} touches ${formatType(wrong.type)}`);
      }
    }),
    settings,
  );
});

Deno.test("optimize never makes a graph larger", () => {
  fc.assert(
    fc.property(choices, (list) => {
      const graph = randomGraph(list);
      return optimize(graph).nodes.length <= graph.nodes.length;
    }),
    settings,
  );
});
