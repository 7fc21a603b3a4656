/** Bundling for browsers. */
import { build, type Metafile, stop } from "esbuild";
import { fileURLToPath } from "node:url";

/** Programs for a browser. */
export interface Bundle {
  /** The contents of each file, by its name. */
  readonly files: ReadonlyMap<string, string>;
  /** What went into them. */
  readonly metafile: Metafile;
}

/**
 * Bundles modules of this folder, each into a file of its own and what they share into others.
 *
 * @throws {Error} when a module has a mistake, or needs what a browser lacks; esbuild has said so on standard error.
 */
export async function bundle(entries: readonly string[], { minify = false } = {}): Promise<Bundle> {
  const folder = fileURLToPath(new URL(".", import.meta.url));
  try {
    const { outputFiles, metafile } = await build({
      absWorkingDir: folder,
      entryPoints: [...entries],
      outdir: folder,
      write: false,
      bundle: true,
      splitting: true,
      minify,
      format: "esm",
      platform: "browser",
      target: "es2022",
      metafile: true,
      legalComments: "none",
      logLevel: "warning",
    });
    const files = outputFiles.map(({ path, text }) => [path.replaceAll("\\", "/").replace(/^.*\//, ""), text] as const);
    return { files: new Map(files), metafile };
  } finally {
    await stop();
  }
}
