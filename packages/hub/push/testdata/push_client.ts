/** Pushes a folder, and prints the most memory that the process has held at a time, in bytes. */
import process from "node:process";
import { pushToHub } from "../push.ts";

await pushToHub("hf://me/large", Deno.args[0]!);
console.log(process.resourceUsage().maxRSS * 1024);
