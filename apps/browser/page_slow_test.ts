import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { toFloat32 } from "@tessera/core";
import { loadExamples } from "@tessera/train";
import { blobFolder, CausalLM, openBackend } from "tessera";
import { unzipSync } from "fflate";
import type { Browser, Page } from "playwright-core";
import type { Settings } from "./page/facts.ts";
import { Session } from "./page/session.ts";
import { buildSite, respond } from "./serve.ts";
import { advice, executablePath, launch, softwareGpu } from "./testdata/chromium.ts";

const tiny = new URL("../../packages/tiny/gemma2-tiny/", import.meta.url);
const modelFiles = [
  "config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "generation_config.json",
  "model.safetensors",
];

/** Two examples to learn, then the one that is asked; lists of facts, as the tiny model knows them, make answers short. */
const examples = [
  ["What? lunch\nWith whom? Ada Fox\nPlace: Graz\nDate: 03-04\nTime: 10:00", '{"who":"Ada Fox"}'],
  ["What? walk\nWith whom? Leo Price\nPlace: Oslo\nDate: 05-06\nTime: 11:30", '{"who":"Leo Price"}'],
  ["What for? call\nWith whom? Ada Fox\nPlace: Graz\nDate: 03-04\nTime: 10:00", '{"who":"Ada Fox"}'],
].map(([prompt, response]) => ({ prompt, response }));
const jsonl = examples.map((example) => JSON.stringify(example)).join("\n");

const settings: Settings = {
  steps: 4,
  batchSize: 2,
  learningRate: 5e-3,
  rank: 4,
  alpha: 8,
  targets: "query|key|value|attention_output|ffw_gating|ffw_gating_2|ffw_linear",
  maxLength: 96,
  seed: 5,
  chat: false,
};

const minutes = 60_000;

/**
 * Runs with the page open in a browser; fails on what the page asks of anyone but its own server, and on errors in it.
 * What the browser tells comes when it will, so it is judged at the end, apart from what `run` has `excused`.
 */
async function withPage(
  flags: readonly string[],
  run: (page: Page, address: string, excused: string[]) => Promise<void>,
): Promise<void> {
  const site = await buildSite();
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    (request) => respond(site, request),
  );
  const address = `http://127.0.0.1:${server.addr.port}/`;
  let browser: Browser | undefined;
  try {
    browser = await launch(flags);
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
    const [elsewhere, problems, excused]: [string[], string[], string[]] = [[], [], []];
    context.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith(address) && !url.startsWith("blob:")) elsewhere.push(url);
      if (request.method() !== "GET") problems.push(`${request.method()} ${url}`);
    });
    const page = await context.newPage();
    page.setDefaultTimeout(8 * minutes);
    page.on("console", (message) => {
      if (message.type() === "error") problems.push(message.text());
    });
    page.on("pageerror", ({ message }) => problems.push(message));
    await page.goto(address);
    await run(page, address, excused);
    const unexcused = (text: string) => !excused.some((part) => text.includes(part));
    assert.deepEqual(elsewhere.filter(unexcused), [], "the page talks to its own server only");
    assert.deepEqual(problems.filter(unexcused), []);
  } finally {
    await browser?.close();
    await server.shutdown();
  }
}

async function textOf(page: Page, selector: string): Promise<string> {
  return await page.locator(selector).textContent() ?? "";
}

/** Waits for work to end, and fails with what the page shows when it went wrong. */
async function finished(page: Page, pattern: RegExp): Promise<void> {
  await page.waitForFunction(
    ({ source }) =>
      new RegExp(source).test(document.querySelector("#stage")!.textContent) ||
      !document.querySelector<HTMLElement>("#problem")!.hidden,
    { source: pattern.source },
  );
  assert.equal(await textOf(page, "#problem-text"), "");
}

async function answersOf(page: Page, side: 1 | 2): Promise<string[]> {
  return await page.locator(`#answers .side:nth-child(${side}) p`).allTextContents();
}

/** The same fine-tuning on the processor, and the model with any adapter. */
async function onProcessor() {
  const backend = await openBackend("cpu", { threads: 2 });
  const session = new Session(backend);
  const losses: number[] = [];
  await session.outline(
    blobFolder(modelFiles.map((name) => [name, new Blob([Deno.readFileSync(new URL(name, tiny))])])),
  );
  await session.load();
  await session.train(await loadExamples(examples.slice(0, 2)), settings, { onStep: ({ loss }) => losses.push(loss) });
  const files = await session.save();
  session.dispose();
  const lm = await CausalLM.fromPreset(decodeURIComponent(tiny.pathname), { backend });
  return {
    losses,
    files,
    logits: async (adapter: ReadonlyMap<string, Blob>) => {
      await lm.loadAdapter(blobFolder(adapter, "the adapter"));
      const { tokenizer } = lm;
      return toFloat32(await lm.score({ tokenIds: [[tokenizer.bosId!, ...tokenizer.encode(examples[2]!.prompt!)]] }));
    },
    answer: async (prompt: string) => (await lm.generate(prompt, { maxNewTokens: 128 })).trim(),
    dispose: () => {
      lm.dispose();
      backend.dispose();
    },
  };
}

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
}

const ignore = executablePath === null;
if (ignore) console.warn(`The tests in a browser do not run: there is no Chromium; ${advice}`);
const options = { ignore, sanitizeOps: false, sanitizeResources: false };

Deno.test({
  ...options,
  name: "the page fine-tunes a picked model as the processor does, answers, and gives an adapter that Deno loads",
  fn: async () => {
    const cpu = await onProcessor();
    try {
      await withPage(softwareGpu, async (page) => {
        await page.waitForSelector("#start:enabled");
        assert.match(await textOf(page, "#engine"), /Runs on WebGPU: .*swiftshader.*slow/i);
        // Picked as files: a headless browser has no dialog for folders.
        await page.locator("#model-folder").evaluate((input) => (input as HTMLInputElement).webkitdirectory = false);
        await page.setInputFiles(
          "#model-folder",
          modelFiles.map((name) => decodeURIComponent(new URL(name, tiny).pathname)),
        );
        await page.waitForFunction(() => document.querySelector("#model-name")!.textContent === "the chosen files");
        await page.setInputFiles("#data-file", {
          name: "mine.jsonl",
          mimeType: "application/jsonl",
          buffer: Buffer.from(jsonl),
        });
        await page.waitForFunction(() => document.querySelector("#data-name")!.textContent === "mine.jsonl");
        for (const id of ["steps", "batchSize", "learningRate", "rank", "maxLength", "seed"] as const) {
          await page.fill(`#${id}`, String(settings[id]));
        }
        await page.setChecked("#chat", false);
        await page.press("#seed", "Tab");
        await page.waitForFunction(() =>
          /Trained32,768 parameters \(4\.7 %\)Memoryabout \d.*activations \d.*iBData2 examples of \d+ tokens, seen 4 times/
            .test(document.querySelector("#plan")!.textContent)
        );

        await page.focus("#start");
        await page.keyboard.press("Enter");
        await finished(page, /^Done after 4 steps/);
        const losses = Array.from((await textOf(page, "#losses")).matchAll(/: (\S+)/g), ([, loss]) => Number(loss));
        assert.equal(losses.length, settings.steps);
        assert(losses.at(-1)! < losses[0]! - 0.5, `the loss falls: ${losses}`);
        const off = largestDifference(losses, cpu.losses);
        assert(off < 1e-3, `losses ${losses} are within 1e-3 of the processor's ${cpu.losses}`);

        const download = page.waitForEvent("download");
        await page.click("#save");
        const saved = await download;
        assert.equal(saved.suggestedFilename(), "the chosen files-adapter.zip");
        const zip = unzipSync(await Deno.readFile(await saved.path()));
        const adapter = new Map(
          Object.entries(zip).map((
            [path, bytes],
          ) => [path.replace(/^.*\//, ""), new Blob([bytes as Uint8Array<ArrayBuffer>])]),
        );
        assert.deepEqual([...adapter.keys()].sort(), ["adapter_config.json", "adapter_model.safetensors"]);
        const expected = await cpu.logits(cpu.files);
        const found = await cpu.logits(adapter);
        assert(largestDifference(found, expected) < 1e-3, `logits differ by ${largestDifference(found, expected)}`);

        const [before, after] = [await answersOf(page, 1), await answersOf(page, 2)];
        assert.deepEqual(after, await Promise.all(examples.slice(2).map(({ prompt }) => cpu.answer(prompt!))));
        assert.notDeepEqual(after, before);

        await page.fill("#question", examples[2]!.prompt!);
        await page.press("#question", "Enter");
        await page.waitForSelector("#ask:enabled");
        await page.waitForFunction(() => document.querySelector("#talk .answer")!.textContent !== "");
        assert.equal((await textOf(page, "#talk .answer")).trim(), after[0]);

        await page.fill("#steps", "1000");
        await page.press("#steps", "Enter");
        await page.waitForFunction(() => /^step 1:/.test(document.querySelector("#losses")!.textContent));
        await page.click("#stop");
        await finished(page, /^Stopped after [1-9]\d* steps/);
        assert(await page.isVisible("#save"), "what was learned before the stop can be saved");
      });
    } finally {
      cpu.dispose();
    }
  },
});

Deno.test({
  ...options,
  name: "the page says in words what is wrong, continues after it, and may talk to nobody else",
  fn: () =>
    withPage([], async (page, address, excused) => {
      await page.waitForSelector("#start:enabled");
      assert.match(
        await textOf(page, "#engine"),
        /Runs in plain JavaScript, which is very slow: .*enable-unsafe-webgpu/,
      );
      await page.locator("#model-folder").evaluate((input) => (input as HTMLInputElement).webkitdirectory = false);
      await page.setInputFiles("#model-folder", [decodeURIComponent(new URL("config.json", tiny).pathname)]);
      await page.waitForSelector("#problem:not([hidden])");
      assert.match(
        await textOf(page, "#problem-text"),
        /lacks tokenizer\.json \(it says how text becomes tokens\), \*\.safetensors; choose the folder of a model/,
      );
      assert.notEqual(await textOf(page, "#problem-advice"), "");
      assert.equal(await textOf(page, "#model-name"), "gemma2-tiny", "the model before stays");

      await page.setInputFiles("#data-file", {
        name: "mine.jsonl",
        mimeType: "application/jsonl",
        buffer: Buffer.from('{"prompt": "a", "response": "b"}\n{"prompt": '),
      });
      await page.waitForFunction(() => /mine\.jsonl:2/.test(document.querySelector("#problem-text")!.textContent));

      // A host that answers anyone: only the page's own rules stand between.
      const other = Deno.serve(
        { port: 0, hostname: "127.0.0.1", onListen: () => {} },
        () => new Response("", { headers: { "access-control-allow-origin": "*" } }),
      );
      const target = `http://127.0.0.1:${other.addr.port}/`;
      excused.push(target, "Content Security Policy");
      const answered = await page.evaluate((urls) => {
        document.addEventListener(
          "securitypolicyviolation",
          ({ blockedURI }) => document.body.dataset.blocked = blockedURI,
        );
        return Promise.all(urls.map((url) => fetch(url).then(({ ok }) => ok, () => false)));
      }, [`${address}style.css`, target]);
      assert.deepEqual(answered, [true, false]);
      // The event is a task of its own: it may come after the request has failed.
      await page.waitForFunction((url) => document.body.dataset.blocked?.startsWith(url), target);
      await other.shutdown();
    }),
});
