/** The backend that a page gets. */
import { type Backend, openBackend } from "tessera";
import type { EngineFacts } from "./messages.ts";

/** A backend, and what the page says about it. */
export interface Engine {
  /** The backend. */
  readonly backend: Backend;
  /** What the page says about it. */
  readonly facts: EngineFacts;
}

/** Opens the GPU, or plain JavaScript where there is none, with the reason. */
export async function openEngine(): Promise<Engine> {
  try {
    const backend = await openBackend("webgpu");
    const info = (await navigator.gpu.requestAdapter({ powerPreference: "high-performance" }))?.info;
    const adapter = [info?.vendor, info?.architecture, info?.description].filter((part) => part).join(" ");
    const isSoftware = info?.isFallbackAdapter === true || /swiftshader|llvmpipe|software/i.test(adapter);
    return { backend, facts: { backend: "webgpu", adapter, isSoftware, reason: null } };
  } catch (error) {
    const reason = navigator.gpu === undefined
      ? "this browser has no WebGPU, or the page was not loaded over https or from localhost"
      : (error as Error).message.replace(/^.*?: /, "");
    return {
      backend: await openBackend("tfjs-cpu"),
      facts: { backend: "tfjs-cpu", adapter: "", isSoftware: true, reason },
    };
  }
}
