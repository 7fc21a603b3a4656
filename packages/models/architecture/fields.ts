/**
 * The fields of an architecture's config, each said once: its name in Tessera, its name in Hugging Face's `config.json`, its
 * default and its check. The type of the config, the schema of the file and the conversion in both directions follow.
 */
import { z } from "zod";

/** A configuration file as it is read: its values by Hugging Face's names, with nulls left out. */
export interface HfFields {
  /** The architecture that the file names, such as `gemma2`. */
  readonly modelType: string;
  /** Every field as it is in the file. */
  readonly raw: Readonly<Record<string, unknown>>;
}

/** Whether a config must give a field. */
export type Presence = "required" | "optional";

/** One field of a config. */
export interface Field<Value, Given extends Presence = Presence> {
  /** Whether a config must give it. */
  readonly presence: Given;
  /** Its name in Hugging Face's file; `null` for one that the architecture's `read` and `write` translate. */
  readonly hf: string | null;
  /** Checks a value, in Tessera's configs and in files. */
  readonly schema: z.ZodType<Value>;
  /** What the check asks for, to end "must be". */
  readonly must: string;
  /** The value where a config leaves it out; `undefined` for none. */
  readonly fallback: Value | undefined;
  /** The value where a file leaves it out; `undefined` where the file must give it. */
  readonly inFile: Value | ((file: HfFields) => Value) | undefined;
  /** The model types whose files have it; all unless given. In files of others it has its fallback. */
  readonly only: readonly string[] | null;
  /** What the file's number is multiplied by. */
  readonly times: number;
  /** Whether Transformers wants a decimal point in the file, `30.0` for `30`. */
  readonly isFloat: boolean;
}

/** The fields of a config by their names. */
export type FieldTable = Readonly<Record<string, Field<unknown>>>;

/** The value of a field. */
export type ValueOf<F> = F extends Field<infer Value> ? Value : never;

/** The config that a table of fields describes. */
export type ConfigOf<Table extends FieldTable> =
  & {
    readonly [Name in keyof Table as Table[Name]["presence"] extends "required" ? Name : never]: ValueOf<Table[Name]>;
  }
  & {
    readonly [Name in keyof Table as Table[Name]["presence"] extends "required" ? never : Name]?: ValueOf<Table[Name]>;
  };

/** How a field is filled where it is not given. */
export interface FieldOptions<Value> {
  /** The value where a config leaves it out, and a file too unless `inFile` says otherwise. */
  readonly fallback?: Value;
  /** The value where a file leaves it out. */
  readonly inFile?: Value | ((file: HfFields) => Value);
  /** The model types whose files have it. */
  readonly only?: readonly string[];
  /** What the file's number is multiplied by; 1 unless given. */
  readonly times?: number;
}

/** Options of a field that a config may leave out. */
export type Optional<Value> = FieldOptions<Value> & { readonly fallback: Value };

interface Kind<Value> {
  readonly schema: z.ZodType<Value>;
  readonly must: string;
  readonly isFloat?: boolean;
}

function make<Value>(hf: string | null, kind: Kind<Value>, options: FieldOptions<Value>): Field<Value> {
  const { fallback, inFile = fallback, only = null, times = 1 } = options;
  const presence = fallback === undefined ? "required" : "optional";
  return { presence, hf, ...kind, isFloat: kind.isFloat ?? false, fallback, inFile, only, times };
}

const counts: Kind<number> = { schema: z.number().int().positive(), must: "a positive integer" };
const positives: Kind<number> = {
  schema: z.number().positive().finite(),
  must: "a positive number",
  isFloat: true,
};
const caps: Kind<number | null> = { schema: positives.schema.nullable(), must: "a positive number", isFloat: true };
const flags: Kind<boolean> = { schema: z.boolean(), must: "true or false" };

/** A number of things: a positive integer. */
export function count(hf: string | null, options: Optional<number>): Field<number, "optional">;
export function count(hf: string | null, options?: FieldOptions<number>): Field<number, "required">;
export function count(hf: string | null, options: FieldOptions<number> = {}): Field<number> {
  return make(hf, counts, options);
}

/** A number of things that may be none: a positive integer or `null`, which is what is left out. */
export function countOrNone(
  hf: string | null,
  options: FieldOptions<number | null> = {},
): Field<number | null, "optional"> {
  const kind: Kind<number | null> = { schema: counts.schema.nullable(), must: "a positive integer" };
  return make(hf, kind, { fallback: null, ...options }) as Field<number | null, "optional">;
}

/** A positive number. */
export function positive(hf: string | null, options: Optional<number>): Field<number, "optional">;
export function positive(hf: string | null, options?: FieldOptions<number>): Field<number, "required">;
export function positive(hf: string | null, options: FieldOptions<number> = {}): Field<number> {
  return make(hf, positives, options);
}

/** A positive number or `null`, which is what is left out. */
export function positiveOrNone(
  hf: string | null,
  options: FieldOptions<number | null> = {},
): Field<number | null, "optional"> {
  return make(hf, caps, { fallback: null, ...options }) as Field<number | null, "optional">;
}

/** True or false; false where a config leaves it out, unless given. */
export function flag(hf: string | null, options: FieldOptions<boolean> = {}): Field<boolean, "optional"> {
  return make(hf, flags, { fallback: false, ...options }) as Field<boolean, "optional">;
}

/** Any other value that a config may leave out; `must` ends "must be" in messages. */
export function optional<Value>(
  schema: z.ZodType<Value>,
  must: string,
  options: FieldOptions<Value> & { readonly hf?: string } = {},
): Field<Value, "optional"> {
  return { ...make(options.hf ?? null, { schema, must }, options), presence: "optional" } as Field<Value, "optional">;
}

/** Any other value that a config must give; `must` ends "must be" in messages. */
export function required<Value>(
  schema: z.ZodType<Value>,
  must: string,
  options: FieldOptions<Value> & { readonly hf?: string } = {},
): Field<Value, "required"> {
  return { ...make(options.hf ?? null, { schema, must }, options), presence: "required" } as Field<Value, "required">;
}

/** A field of files that has one value only in what Tessera computes. */
export interface FixedField {
  /** The values that a file may have; they mean the same, and one that is left out means it too. */
  readonly values: readonly (string | number | boolean | null)[];
  /** Whether the first value is written to files. */
  readonly isWritten: boolean;
}

/** A field of files that must have one value, or one of a few that mean the same; the first is written. */
export function fixed(...values: readonly [string | number | boolean, ...(string | number | boolean)[]]): FixedField {
  return { values, isWritten: true };
}

/** A field of files that must have one value, and that is not written. */
export function refusedUnless(
  ...values: readonly [string | number | boolean, ...(string | number | boolean)[]]
): FixedField {
  return { values, isWritten: false };
}
