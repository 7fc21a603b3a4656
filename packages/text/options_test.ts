import assert from "node:assert/strict";
import { checkOptions, type OptionNames, pickOptions } from "./options.ts";

interface Options {
  readonly maxNewTokens?: number;
  readonly seed?: number;
}
const names: OptionNames<Options> = { maxNewTokens: true, seed: true };

Deno.test("checkOptions() takes known names, and names the nearest to others", () => {
  checkOptions("generate", {}, names);
  checkOptions("generate", { seed: 1, maxNewTokens: undefined }, names);
  const message = (given: object) => {
    try {
      checkOptions("generate", given, names);
    } catch (error) {
      assert(error instanceof TypeError);
      return error.message;
    }
    return null;
  };
  assert.equal(
    message({ seed: 1, max_new_tokens: 3 }),
    'Cannot generate: "max_new_tokens" is not an option; did you mean "maxNewTokens"?',
  );
  assert.equal(
    message({ toString: 1 }),
    'Cannot generate: "toString" is not an option; the options are "maxNewTokens", "seed"',
  );
});

Deno.test("pickOptions() leaves out what a table has not", () => {
  const given: Options & { readonly other: string } = { seed: 1, other: "x" };
  assert.deepEqual(pickOptions<Options>(given, names), { seed: 1 });
});
