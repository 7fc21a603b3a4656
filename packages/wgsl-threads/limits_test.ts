/** What does not fit a GPU is refused when it is compiled, with a limit that no GPU need have. */
import assert from "node:assert/strict";
import { einsum, trace } from "@tessera/core";
import { slowBackend } from "./slow_backend.ts";

Deno.test("compile() refuses a product of which both operands would be in pieces", async () => {
  const small = slowBackend({ programs: "gpu", maxBindingBytes: 4096 });
  const types = { a: { dtype: "float32", shape: [40, 40] }, b: { dtype: "float32", shape: [40, 40] } } as const;
  const compile = (spec: string, own: boolean) => {
    const graph = trace("both", types, ({ a, b }) => ({ y: einsum(spec, a, own ? a : b) }));
    return small.compile(graph, { device: small.devices[0]! });
  };
  await assert.rejects(compile("vd,vd->v", false), /input "b", float32\[40,40\], takes 6.25 KiB/);
  await assert.rejects(compile("vd,vd->v", true), /input "a", float32\[40,40\], takes 6.25 KiB/);
});
