/**
 * What the command lines of Tessera share: flags made from a schema, help, and what a terminal shows.
 *
 * @module
 */
export { openConsole } from "./console.ts";
export type { CommandConsole, ConsoleOptions } from "./console.ts";
export { jsonSchemaOf, listFlags, nest, parseArguments, UsageError } from "./flags.ts";
export type { Arguments, CommandLine, Flag, JsonSchema, Switch } from "./flags.ts";
export { formatFlags, formatSwitches } from "./help.ts";
export { formatFacts, makeStyles, oneLine, wrap } from "./terminal.ts";
export type { Styles } from "./terminal.ts";
