/** A Chromium for tests, which talks to this machine only, on a GPU that is a program. */
import { type Browser, chromium } from "playwright-core";

const places = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
];

/** What brings a Chromium where there is none. */
export const advice = "install it, on Debian with apt-get install chromium";

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** Where Chromium is; null where there is none. */
export const executablePath: string | null = places.find(isFile) ?? null;

/** Starts Chromium with a fresh profile. */
export async function launch(extra: readonly string[] = []): Promise<Browser> {
  return await chromium.launch({
    executablePath: executablePath!,
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      ...extra,
    ],
  });
}

/** The flags that give a page WebGPU on a program that stands for a GPU. */
export const softwareGpu: readonly string[] = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];
