/**
 * What messages and consoles share: nearest names, figures, tables, progress lines and error classes.
 *
 * @module
 */
export * from "@tessera/text";
