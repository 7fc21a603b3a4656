import assert from "node:assert/strict";
import { didYouMean, listNames } from "./name_hints.ts";

Deno.test("didYouMean() and listNames() make the ends of messages", () => {
  assert.equal(didYouMean("lama", ["llama"]), ', did you mean "llama"?');
  assert.equal(didYouMean("bert", ["llama"]), "");
  assert.equal(listNames(["a", "b"]), '"a", "b"');
  assert.equal(listNames(["a", "b", "c"], 2), '"a", "b" and 1 more');
});
