import assert from "node:assert/strict";
import { listFlags, makeStyles, nest, parseArguments, UsageError } from "@tessera/cli";
import { displayWidth } from "@tessera/text";
import { hardware, presets } from "tessera";
import { formatHelp } from "./help.ts";
import { commandLine, hardwareOf, meshOf, parseFigure, requestSchema } from "./request.ts";

function requestOf(...line: string[]) {
  return requestSchema.parse(nest(parseArguments(line, commandLine).fields));
}

Deno.test("parseFigure() reads numbers with and without units", () => {
  const read: Readonly<Record<string, number | null>> = {
    "80GB": 80e9,
    "80 GiB": 80 * 2 ** 30,
    "900GB/s": 900e9,
    "312T": 312e12,
    "312 TFLOP/s": 312e12,
    "1.5e12": 1.5e12,
    "5": 5,
    "80XB": null,
    "GB": null,
    "": null,
    "-1": null,
  };
  for (const [text, expected] of Object.entries(read)) assert.equal(parseFigure(text), expected, text);
});

Deno.test("the figures of a request change those of its hardware", () => {
  const request = requestOf("--hardware", "a100", "--memory", "40GB", "--peak", "100T", "--link-bandwidth", "25GB/s");
  assert.deepEqual(hardwareOf(request), {
    ...hardware.a100,
    memory: 40e9,
    peak: { half: 100e12, float32: 100e12 },
    linkBandwidth: 25e9,
  });
  assert.deepEqual(hardwareOf(requestOf("--hardware", "tpu-v5e")), hardware["tpu-v5e"]);
});

Deno.test("a request says what is wrong with it", () => {
  const fails = (line: readonly string[], message: RegExp) =>
    assert.throws(
      () => meshOf(requestOf(...line)),
      (error) => error instanceof UsageError && message.test(error.message),
    );
  fails(["--hardwear", "h100"], /did you mean --hardware\?/);
  fails(["--memory", "80XB"], /Cannot use --memory 80XB: expected a positive number/);
  fails(["--memory", "0"], /expected a positive number/);
  fails(["--mesh", "batch=2;model=2"], /Cannot read the mesh "batch=2;model=2"/);
  fails(["batch=2,model=2"], /did you mean --mesh batch=2,model=2\?/);
  fails(["gemma2_9b_en"], /did you mean --preset gemma2_9b_en\?/);
  fails(["--layout", "published"], /Cannot use --layout published/);
});

Deno.test("the help has every flag and preset, and fits the terminal", () => {
  for (const width of [80, 120]) {
    const lines = formatHelp(width, makeStyles(false)).split("\n");
    for (const { shortest } of listFlags(commandLine)) {
      assert(lines.some((line) => line.startsWith(`  --${shortest}`)), shortest);
    }
    const words = new Set(lines.flatMap((line) => line.split(/[\s,]+/)));
    for (const name of Object.keys(presets)) assert(words.has(name), name);
    for (const line of lines) assert(displayWidth(line) <= width, line);
  }
});
