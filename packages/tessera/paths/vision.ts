/**
 * Image files as pixels; boxes and outlines.
 *
 * @module
 */
export * from "@tessera/vision";
