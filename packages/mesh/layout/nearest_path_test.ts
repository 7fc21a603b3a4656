import assert from "node:assert/strict";
import { nearestPath } from "./nearest_path.ts";

const paths = [
  "token_embedding/embeddings",
  "decoder_block_0/attention/query/kernel",
  "decoder_block_0/attention/attention_output/kernel",
  "decoder_block_0/ffw_gating/kernel",
  "decoder_block_0/ffw_linear/kernel",
  "final_normalization/scale",
];

const cases: readonly (readonly [key: RegExp, nearest: string])[] = [
  [/token_embeding\/embeddings/, "token_embedding/embeddings"],
  [/decoder_block.*atention.*(query|key|value).kernel/, "decoder_block_0/attention/query/kernel"],
  [/decoder_block_\d+\/ffw_liner\/kernel/, "decoder_block_0/ffw_linear/kernel"],
  [/decoder_block_[0-9]{1,2}\/(?:foo|ffw_gate)\/kernel/, "decoder_block_0/ffw_gating/kernel"],
  [/^final_normalisation\/scales?$/, "final_normalization/scale"],
  [/(?!x)decoder_block.*atention_outptu[/.]kernel/, "decoder_block_0/attention/attention_output/kernel"],
  [/(?<layer>decoder_block_0)+\/.*ffw_linea\/kernel/, "decoder_block_0/ffw_linear/kernel"],
];

for (const [key, nearest] of cases) {
  Deno.test(`nearestPath() of ${key.source} is ${nearest}`, () => assert.equal(nearestPath(key, paths), nearest));
}

Deno.test("nearestPath() of no paths is null", () => assert.equal(nearestPath(/a/, []), null));

Deno.test("nearestPath() reads any expression, however many alternatives it multiplies out to", () => {
  assert.equal(nearestPath(new RegExp("(a|b|c|d)".repeat(12)), ["abcdabcdabcx", "zzz"]), "abcdabcdabcx");
});
