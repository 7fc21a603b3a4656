/** The job as it is kept with its results. */
import type { Config } from "./config.ts";

/** A job whose paths are absolute, so that it can be run again from anywhere. */
export async function absolutePaths(config: Config): Promise<Config> {
  const absolute = async (path: string) => path.includes("://") ? path : await realPath(path);
  const { data } = config;
  const heldOut = typeof data.heldOut === "string" ? await absolute(data.heldOut) : data.heldOut;
  const { output: _, ...rest } = config;
  return {
    ...rest,
    preset: await absolute(config.preset),
    data: { ...data, train: await absolute(data.train), heldOut },
  };
}

/** The path without links; the name of a preset, which is not a path, stays as it is. */
async function realPath(path: string): Promise<string> {
  try {
    return await Deno.realPath(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return path;
    throw error;
  }
}
