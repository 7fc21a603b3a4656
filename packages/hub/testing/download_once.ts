/** A program that downloads the repository of its argument, for tests that end it or take permissions from it. */
import { downloadRepository } from "../download/download.ts";

console.log(await downloadRepository(Deno.args[0]!));
