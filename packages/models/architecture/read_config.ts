/** From a checkpoint's `config.json` to an architecture's config, and the checks that both forms share. */
import { checkJson } from "@tessera/files";
import { didYouMean } from "@tessera/text";
import { z } from "zod";
import type { ConfigOf, Field, FieldTable, FixedField, HfFields } from "./fields.ts";
import type { HfConfig } from "./hf_config.ts";

/** What a config's fields are, and what files say beside them. */
export interface ConfigSpec<Table extends FieldTable> {
  /** The name in messages, such as `Gemma`. */
  readonly title: string;
  /** What the config makes, for messages; a backbone unless given. */
  readonly makes?: string;
  /** The fields. */
  readonly fields: Table;
  /** Fields of files that must have one value. */
  readonly fixed?: Readonly<Record<string, FixedField>>;
  /**
   * What is wrong with fields that are each right, to end "Cannot use …:"; `null` for nothing. `name` gives a field's name as
   * the reader knows it, quoted where it stands in a file.
   */
  readonly check?: (config: ConfigOf<Table>, name: (field: keyof Table & string) => string) => string | null;
}

/** Whether files of a model type have a field. */
function isInFile(field: Field<unknown>, modelType: string): field is Field<unknown> & { readonly hf: string } {
  return field.hf !== null && (field.only === null || field.only.includes(modelType));
}

/** The schema of the fields in a file of a model type. Fields that may be left out may be null, too. */
export function fileSchema(
  { title, fields, fixed = {} }: Pick<ConfigSpec<FieldTable>, "title" | "fields" | "fixed">,
  modelType: string,
): Record<string, z.ZodType> {
  const own = Object.values(fields).filter((field) => isInFile(field, modelType)).map((field) =>
    [
      field.hf!,
      field.inFile === undefined && field.presence === "required" ? field.schema : field.schema.nullish(),
    ] as const
  );
  const only = Object.entries(fixed).map(([name, { values }]) => {
    const message = `Tessera's ${title} computes only ${JSON.stringify(values[0])}`;
    return [name, z.literal([...values], message).nullish()] as const;
  });
  return Object.fromEntries([...own, ...only]);
}

/** The fields that a file gives by themselves; those without a name in files stay out. */
export function fieldsFromHf<Table extends FieldTable>(
  table: Table,
  parsed: Readonly<Record<string, unknown>>,
  file: HfFields,
): Partial<ConfigOf<Table>> {
  const entries = Object.entries(table).flatMap(([name, field]) => {
    if (!isInFile(field, file.modelType)) return [];
    const value = valueInFile(field, parsed[field.hf], file);
    return value === undefined ? [] : [[name, value] as const];
  });
  return Object.fromEntries(entries) as Partial<ConfigOf<Table>>;
}

function valueInFile(field: Field<unknown>, found: unknown, file: HfFields): unknown {
  const { inFile, fallback, times } = field;
  // A null means what it says where the field may be none, and otherwise that it is left out.
  const isGiven = found !== undefined && !(found === null && fallback !== null);
  const value = isGiven ? found : typeof inFile === "function" ? inFile(file) : inFile;
  return typeof value === "number" ? value * times : value;
}

/** Some fields of a file, checked against a schema; what the schema does not list is not looked at. */
export function checkFile(hf: HfConfig, schema: Record<string, z.ZodType>): Record<string, unknown> {
  return checkJson(hf.path, hf.raw, z.looseObject(schema));
}

/**
 * Checks a config that a user or `read` made.
 *
 * @throws {RangeError} when a field is missing or out of range, or fields contradict each other.
 * @throws {TypeError} when a field is not known; the message has the nearest one.
 */
export function checkConfig<Table extends FieldTable>(
  { title, makes = "backbone", fields, check }: ConfigSpec<Table>,
  config: ConfigOf<Table>,
): void {
  const values = config as Readonly<Record<string, unknown>>;
  const task = `Cannot make a ${title} ${makes}`;
  for (const name of Object.keys(values)) {
    if (Object.hasOwn(fields, name)) continue;
    throw new TypeError(`${task}: "${name}" is not a known field${didYouMean(name, Object.keys(fields))}`);
  }
  for (const [name, { schema, must, presence }] of Object.entries(fields)) {
    const value = values[name];
    if (value === undefined ? presence === "optional" : schema.safeParse(value).success) continue;
    const found = value === undefined ? "none" : typeof value === "number" ? String(value) : JSON.stringify(value);
    throw new RangeError(`${task}: ${name} must be ${must}, found ${found}`);
  }
  const problem = check?.(config, (field) => field) ?? null;
  if (problem !== null) throw new RangeError(`${task}: ${problem}`);
}

/**
 * Checks the config that a file, or a group of its fields, makes; messages have the names of the file.
 *
 * @throws {RangeError} when fields contradict each other.
 */
export function checkFromHf<Table extends FieldTable>(
  { fields, check }: ConfigSpec<Table>,
  config: ConfigOf<Table>,
  path: string,
  group?: string,
): void {
  const nameOf = (field: string) => group === undefined ? field : `${group}.${field}`;
  const problem = check?.(config, (field) => `"${nameOf(fields[field]!.hf ?? field)}"`) ?? null;
  if (problem !== null) throw new RangeError(`Cannot use "${path}": ${problem}`);
}

/**
 * The fields of a config as a file of a model type has them.
 *
 * @throws {TypeError} when the config has what no file of that type can say.
 */
export function fieldsToHf<Table extends FieldTable>(
  { title, fields, fixed = {} }: ConfigSpec<Table>,
  config: ConfigOf<Table>,
  modelType: string,
): Record<string, unknown> {
  const values = config as Readonly<Record<string, unknown>>;
  const lost = Object.entries(fields).filter(([name, field]) =>
    field.hf !== null && !isInFile(field, modelType) && (values[name] ?? field.fallback) !== field.fallback
  );
  if (lost.length > 0) {
    throw new TypeError(
      `Cannot describe the ${title} backbone as "${modelType}", which has no ${
        lost.map(([name]) => name).join(" and no ")
      }`,
    );
  }
  const own = Object.entries(fields).flatMap(([name, field]) => {
    if (!isInFile(field, modelType)) return [];
    const value = values[name] ?? field.fallback;
    if (value === undefined) return [];
    return [[field.hf, typeof value === "number" ? value / field.times : value] as const];
  });
  const only = Object.entries(fixed).flatMap(([name, { values, isWritten }]) => isWritten ? [[name, values[0]]] : []);
  return Object.fromEntries([...own, ...only]);
}

/** The names of a table's fields that Transformers wants with a decimal point. */
export function floatFields(table: FieldTable): string[] {
  return Object.values(table).flatMap(({ hf, isFloat }) => hf !== null && isFloat ? [hf] : []);
}
