/**
 * Builds the page and serves it on this machine: `deno task browser`.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { buildSite, respond } from "./serve.ts";

const help = `Fine-tunes a language model in your browser, on your GPU.

Usage: deno task browser [options]

Builds the page, serves it to this machine alone, and prints its address. Ctrl-C ends it.

Options:
  --port <number>  the port to serve on; 8000, or a free one where that is taken
  --help           shows this`;

/**
 * Understands a port.
 *
 * @throws {RangeError} when it is none.
 */
export function parsePort(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) return port;
  throw new RangeError(`Cannot serve on port "${text}": expected a whole number from 0 to 65535`);
}

/** Serves on a port, or, where none was asked for, on 8000 or any that is free. */
function serve(port: number | null, handler: (request: Request) => Promise<Response>): Deno.HttpServer {
  const listen = (at: number) =>
    Deno.serve({
      port: at,
      hostname: "127.0.0.1",
      onListen: (address) => console.log(`Open http://127.0.0.1:${address.port}/ · Ctrl-C ends it`),
    }, handler);
  try {
    return listen(port ?? 8000);
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    if (port !== null) {
      throw new Error(`Cannot serve on port ${port}: another program does; name another one with --port`, {
        cause: error,
      });
    }
    return listen(0);
  }
}

async function main(line: readonly string[]): Promise<number> {
  try {
    const { values } = parseArgs({
      args: [...line],
      options: { port: { type: "string" }, help: { type: "boolean" } },
    });
    if (values.help) {
      console.log(help);
      return 0;
    }
    const port = values.port === undefined ? null : parsePort(values.port);
    const site = await buildSite();
    await serve(port, (request) => respond(site, request)).finished;
    return 0;
  } catch (error) {
    console.error(`Error: ${(error as Error).message}`);
    return error instanceof TypeError || error instanceof RangeError ? 2 : 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
