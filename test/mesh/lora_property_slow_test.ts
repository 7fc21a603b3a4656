import { checkRandomLayouts } from "../support/random_layouts.ts";

Deno.test("100 random layout maps, adapters trained: the losses are those of one device", () =>
  checkRandomLayouts(true, 100));
