import { checkRandomLayouts } from "../support/random_layouts.ts";

Deno.test("100 random layout maps, all weights trained: the losses are those of one device", () =>
  checkRandomLayouts(false, 100));
