/** Writes `schema.json`, the JSON Schema from which editors complete configuration files. */
import { jsonSchemaOf } from "@tessera/cli";
import { configSchema } from "./config.ts";

/** The text of `schema.json`. */
export function schemaText(): string {
  return JSON.stringify(jsonSchemaOf(configSchema), null, 2) + "\n";
}

if (import.meta.main) await Deno.writeTextFile(new URL("../schema.json", import.meta.url), schemaText());
