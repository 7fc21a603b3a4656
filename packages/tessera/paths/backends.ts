/**
 * The backends by name.
 *
 * @module
 */
export * from "@tessera/backends";
