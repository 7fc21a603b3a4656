import assert from "node:assert/strict";
import { listFlags, makeStyles } from "@tessera/cli";
import { displayWidth } from "@tessera/text";
import { formatAnswer } from "./answers.ts";
import { commandLine } from "../job/command_line.ts";
import { formatHelp } from "../job/help.ts";

const plain = makeStyles(false);

Deno.test("formatAnswer() marks right and wrong answers and cuts long ones", () => {
  const shown = {
    prompt: "Say it",
    expected: "yes",
    answers: [["before", "n".repeat(400)], ["now", ""], ["after", "yes"]] as const,
  };
  const lines = formatAnswer(shown, 60, plain).split("\n");
  assert.deepEqual(lines, [
    "  Say it",
    "  expected    yes",
    `  before    ✗ ${"n".repeat(46)}`,
    " ".repeat(14) + "n".repeat(46),
    " ".repeat(14) + "n".repeat(45) + "…",
    "  now       ✗ nothing",
    "  after     ✓ yes",
  ]);
});

Deno.test("formatHelp() has every flag and fits the terminal", () => {
  for (const width of [80, 120]) {
    const lines = formatHelp(width, plain).split("\n");
    for (const { shortest } of listFlags(commandLine)) {
      assert.ok(lines.some((line) => line.startsWith(`  --${shortest}`)), shortest);
    }
    for (const line of lines) assert.ok(displayWidth(line) <= width, line);
  }
});
