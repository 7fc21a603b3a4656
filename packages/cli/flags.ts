/**
 * Flags from a schema: each field is a flag named by its path, and may go without its group where no other group has a field
 * of that name, so that flags and configuration never drift apart.
 */
import { z } from "zod";
import { nearestName } from "@tessera/text";

/** An invalid command line; the program exits with code 2. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** The flag of one field. */
export interface Flag {
  /** The path of the field, which is the name of the flag. */
  readonly path: string;
  /** The shortest name that stands for it alone. */
  readonly shortest: string;
  /** What it means. */
  readonly description: string;
  /** What it takes, such as `number` or `cpu|webgpu`. */
  readonly takes: string;
  /** The value when it is absent. */
  readonly fallback: unknown;
  /** The kinds of value that it accepts. */
  readonly kinds: ReadonlySet<string>;
}

/** A flag of the program itself, which is not a field of the job. */
export interface Switch {
  /** What it means. */
  readonly description: string;
  /** What value it takes; none when absent. */
  readonly takes?: string;
}

/** What a command line may say. */
export interface CommandLine<Name extends string = string> {
  /** The schema of the fields, an object. */
  readonly schema: z.ZodType;
  /** The flags of the program itself, by name. */
  readonly switches: Readonly<Record<Name, Switch>>;
  /** Short names for frequently used fields. */
  readonly shorthands?: Readonly<Record<string, string>>;
  /** What to write instead of an argument that is not a flag, such as a file; `null` where that is not known. */
  readonly hint?: (argument: string) => string | null;
  /** A flag that most people use, as an example. */
  readonly example: string;
}

/** What a command line says. */
export interface Arguments<Name extends string = string> {
  /** The switches that are on. */
  readonly switches: ReadonlySet<Name>;
  /** The values of switches that take one. */
  readonly given: ReadonlyMap<Name, string>;
  /** The values of fields by path. */
  readonly fields: ReadonlyMap<string, unknown>;
}

/** A subschema of a JSON Schema. */
export interface JsonSchema {
  /** The kind of value. */
  readonly type?: string;
  /** What the value means. */
  readonly description?: string;
  /** The value when it is absent. */
  readonly default?: unknown;
  /** The values that are allowed. */
  readonly enum?: readonly string[];
  /** The fields of an object. */
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  /** The alternative schemas. */
  readonly anyOf?: readonly JsonSchema[];
}

/** Makes the JSON Schema of a schema's input, which editors complete from and flags are made from. */
export function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, { io: "input" }) as JsonSchema;
}

function alternatives(schema: JsonSchema): JsonSchema[] {
  return schema.anyOf ? schema.anyOf.flatMap(alternatives) : [schema];
}

function describeValue(schemas: readonly JsonSchema[]): string {
  // A flag does not take an object where something else can be given.
  const plain = schemas.filter(({ type }) => type !== "object");
  return (plain.length > 0 ? plain : schemas).map(({ type, enum: values }) => {
    if (values) return values.join("|");
    if (type === "null") return "none";
    return type === "array" ? "a,b" : type === "integer" ? "count" : type === "string" ? "text" : type;
  }).join("|");
}

function listFields(schema: JsonSchema, prefix: string): Omit<Flag, "shortest">[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    if (name === "$schema") return [];
    const path = prefix + name;
    const kinds = alternatives(field);
    const group = kinds.find(({ properties }) => properties);
    const inner = group ? listFields(group, `${path}.`) : [];
    const own = kinds.filter((kind) => kind !== group);
    // A group is a flag of its own only where it can be something other than a group.
    if (own.length === 0) return inner;
    return [{
      path,
      description: field.description ?? "",
      takes: describeValue(own),
      fallback: field.default,
      kinds: new Set(own.flatMap(({ type }) => type ?? [])),
    }, ...inner];
  });
}

/** The last segment of a path. */
function lastName(path: string): string {
  return path.slice(path.lastIndexOf(".") + 1);
}

/** Makes the flags of all fields, in the order of the schema. */
export function listFlags({ schema, shorthands = {} }: Pick<CommandLine, "schema" | "shorthands">): Flag[] {
  const fields = listFields(jsonSchemaOf(schema), "");
  return fields.map((field) => {
    const name = lastName(field.path);
    const isUnique = fields.filter(({ path }) => lastName(path) === name).length === 1 && !(name in shorthands);
    const shorthand = Object.keys(shorthands).find((key) => shorthands[key] === field.path);
    return { ...field, shortest: shorthand ?? (isUnique ? name : field.path) };
  });
}

const kindNames: Readonly<Record<string, string>> = {
  integer: "a whole number",
  number: "a number",
  boolean: "true or false",
  null: "none",
};

function camelCase(name: string): string {
  return name.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function parseValue({ kinds, takes }: Flag, text: string, given: string): unknown {
  if (kinds.has("null") && text === "none") return null;
  const isNumeric = text.trim() !== "" && Number.isFinite(Number(text));
  if ((kinds.has("number") || kinds.has("integer")) && isNumeric) return Number(text);
  if (kinds.has("boolean") && (text === "true" || text === "false")) return text === "true";
  if (kinds.has("array")) return text.split(",").map((item) => item.trim()).filter((item) => item !== "");
  if (kinds.has("string")) return text;
  throw new UsageError(
    `Cannot use ${given} "${text}": expected ${[...kinds].map((kind) => kindNames[kind] ?? takes).join(" or ")}`,
  );
}

function unknownFlag(given: string, { switches }: CommandLine, flags: readonly Flag[]): never {
  const names = [...Object.keys(switches), ...flags.flatMap(({ path, shortest }) => [path, shortest])];
  const name = camelCase(given.slice(2));
  const near = nearestName(name, names) ?? flags.find(({ path }) => lastName(path) === lastName(name))?.path ?? null;
  throw new UsageError(
    `Unknown flag ${given}` + (near === null ? "; --help lists the flags" : `; did you mean --${near}?`),
  );
}

/** What a value is nested in, by path: `training.epochs` becomes `{ training: { epochs } }`. */
export function nest(fields: ReadonlyMap<string, unknown>): Record<string, unknown> {
  const root: Record<string, unknown> = {};
  for (const [path, value] of fields) {
    const names = path.split(".");
    let at = root;
    for (const name of names.slice(0, -1)) {
      if (typeof at[name] !== "object" || at[name] === null) at[name] = {};
      at = at[name] as Record<string, unknown>;
    }
    at[names.at(-1)!] = value;
  }
  return root;
}

/** Checks the values of flags against the schema; what else is missing or wrong is not their fault. */
function checkFields(
  schema: z.ZodType,
  fields: ReadonlyMap<string, unknown>,
  given: ReadonlyMap<string, string>,
): void {
  const issues = schema.safeParse(nest(fields)).error?.issues ?? [];
  for (const { path, message } of issues) {
    const flag = [...fields.keys()].find((field) => field === path.join(".") || path.join(".").startsWith(`${field}.`));
    if (flag === undefined) continue;
    const value = fields.get(flag);
    throw new UsageError(`Cannot use ${given.get(flag)} ${Array.isArray(value) ? value.join(",") : value}: ${message}`);
  }
}

/**
 * Reads a command line.
 *
 * @throws {UsageError} when a flag is unknown, lacks its value or has a wrong one.
 */
export function parseArguments<Name extends string>(
  args: readonly string[],
  line: CommandLine<Name>,
): Arguments<Name> {
  const flags = listFlags(line);
  const byName = new Map(flags.flatMap((flag) => [[flag.path, flag], [flag.shortest, flag]]));
  const isSwitch = (name: string): name is Name => Object.hasOwn(line.switches, name);
  const on = new Set<Name>();
  const values = new Map<Name, string>();
  const fields = new Map<string, unknown>();
  const given = new Map<string, string>();

  for (let i = 0; i < args.length; i++) {
    const argument = args[i]! === "-h" ? "--help" : args[i]!;
    if (!argument.startsWith("--")) {
      const hint = line.hint?.(argument) ?? null;
      throw new UsageError(
        `Cannot understand "${argument}": ` +
          (hint === null ? `expected a flag, such as ${line.example}; --help lists them` : `did you mean ${hint}?`),
      );
    }
    const equals = argument.indexOf("=");
    const name = equals < 0 ? argument : argument.slice(0, equals);
    const inline = equals < 0 ? null : argument.slice(equals + 1);
    const key = camelCase(name.slice(2));
    const takeValue = () => {
      if (inline !== null) return inline;
      const next = args[i + 1];
      if (next === undefined || next.startsWith("--")) throw new UsageError(`${name} needs a value behind it`);
      i++;
      return next;
    };
    if (isSwitch(key)) {
      if (line.switches[key].takes !== undefined) {
        values.set(key, takeValue());
        continue;
      }
      if (inline !== null) throw new UsageError(`${name} takes no value`);
      on.add(key);
    } else {
      const isOff = !byName.has(key) && /^no[A-Z]/.test(key);
      const plain = isOff ? key.charAt(2).toLowerCase() + key.slice(3) : key;
      const flag = byName.get(plain);
      if (!flag || (isOff && !flag.kinds.has("boolean"))) unknownFlag(name, line, flags);
      const isBare = flag.kinds.has("boolean") && inline === null && !/^(true|false)$/.test(args[i + 1] ?? "");
      const value = isOff ? false : isBare ? true : parseValue(flag, takeValue(), name);
      fields.set(flag.path, value);
      given.set(flag.path, name);
    }
  }
  checkFields(line.schema, fields, given);
  return { switches: on, given: values, fields };
}
