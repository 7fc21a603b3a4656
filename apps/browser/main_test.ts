import assert from "node:assert/strict";
import { parsePort } from "./main.ts";
import { adviceFor, isEngineGone } from "./page/advice.ts";
import { Pace } from "./page/pace.ts";
import { respond, type Site } from "./serve.ts";

const site: Site = new Map([["index.html", "<p>hello</p>"], ["page.js", "1"]]);

function get(path: string, method = "GET"): Promise<Response> {
  return respond(site, new Request(`http://127.0.0.1/${path}`, { method }));
}

Deno.test("respond() gives files with rules that let a page load from its own server only", async () => {
  for (
    const [path, type] of [["", "text/html; charset=utf-8"], ["page.js", "text/javascript; charset=utf-8"]] as const
  ) {
    const { status, headers } = await get(path);
    assert.equal(status, 200);
    assert.equal(headers.get("content-type"), type);
    const rules = headers.get("content-security-policy")!.split("; ").map((rule) => rule.split(" "));
    for (const [directive, ...sources] of rules) {
      assert(sources.every((source) => source === "'self'" || source === "'none'"), directive);
    }
    assert.deepEqual(rules[0], ["default-src", "'none'"]);
  }
});

Deno.test("respond() refuses other paths and methods", async () => {
  assert.equal((await get("../deno.json")).status, 404);
  assert.equal((await get("page.js", "POST")).status, 405);
});

Deno.test("parsePort() takes ports and nothing else", () => {
  assert.deepEqual(["0", "8080", "65535"].map(parsePort), [0, 8080, 65_535]);
  for (const text of ["", "-1", "65536", "80a", "1e3"]) {
    assert.throws(() => parsePort(text), {
      name: "RangeError",
      message: /^Cannot serve on port ".*": expected a whole/,
    });
  }
});

Deno.test("adviceFor() knows what helps against what can go wrong", () => {
  const cases: readonly (readonly [message: string, advice: RegExp])[] = [
    ["The GPU was lost (no reason was given): its driver was restarted", /press Fine-tune/],
    ["The GPU has no memory left: use a smaller batch", /Fewer examples per step/],
    ['Cannot continue training "gemma_causal_lm": the loss of update 3 is NaN; lower the learning rate', /to a tenth/],
    ['Cannot use "gemma": it lacks tokenizer.json (it says how text becomes tokens)', /whole folder/],
    ["Cannot read mine.jsonl:2: malformed JSON", /Every line/],
    ["The worker ended: it did not start", /Load the page again/],
  ];
  for (const [message, advice] of cases) assert.match(adviceFor(message), advice, message);
  assert.equal(adviceFor("Cannot continue"), "");
  assert.deepEqual(cases.map(([message]) => isEngineGone(message)), [true, false, false, false, false, true]);
});

Deno.test("Pace leaves the first part out and says what is left", () => {
  const pace = new Pace();
  assert.equal(pace.describe(5, "step"), "");
  pace.add(100, 10_000);
  assert.equal(pace.describe(4, "step"), "");
  pace.add(100, 10_500);
  pace.add(300, 11_000);
  assert.equal(pace.describe(4, "step"), "2.0 steps/s · 400 tokens/s · 2.0s left");
  pace.add(0, 20_000);
  assert.equal(pace.describe(0, "step"), "3.3 s per step · 40 tokens/s");
});
