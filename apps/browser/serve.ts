/** Serving the page on this machine, with rules that keep everything on it. */
import { bundle } from "./bundle.ts";
import { shippedFiles } from "./page/shipped.ts";

/** What the browser may do: load from this server, and nothing else from anywhere. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "worker-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const headers = {
  "content-security-policy": contentSecurityPolicy,
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "cache-control": "no-cache",
};

const types: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
  json: "application/json",
  jsonl: "application/jsonl",
  safetensors: "application/octet-stream",
};

/** What a site consists of: the content of each file by its path, or where it lies. */
export type Site = ReadonlyMap<string, string | URL>;

/**
 * Builds the page.
 *
 * @throws {Error} when a module has a mistake; esbuild has reported it on standard error.
 */
export async function buildSite(): Promise<Site> {
  const { files } = await bundle(["page/page.ts", "page/worker.ts"], { minify: true });
  const site = new Map<string, string | URL>(files);
  for (const name of ["index.html", "style.css", "chart.css", "talk.css", "icon.svg"]) {
    site.set(name, new URL(`page/${name}`, import.meta.url));
  }
  const tiny = new URL("../../packages/tiny/", import.meta.url);
  for (const name of shippedFiles.model) site.set(`tiny/gemma2-tiny/${name}`, new URL(`gemma2-tiny/${name}`, tiny));
  for (const name of shippedFiles.data) site.set(`tiny/data/${name}`, new URL(`data/${name}`, tiny));
  return site;
}

/** Answers a request from a site. */
export async function respond(site: Site, request: Request): Promise<Response> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    return new Response("Only GET is answered here", { status: 405, headers });
  }
  const path = new URL(request.url).pathname.slice(1) || "index.html";
  const found = site.get(path);
  if (found === undefined) return new Response(`There is no ${path} here`, { status: 404, headers });
  const body = typeof found === "string" ? found : await Deno.readFile(found);
  const type = types[path.slice(path.lastIndexOf(".") + 1)]!;
  return new Response(body, { headers: { ...headers, "content-type": type } });
}
