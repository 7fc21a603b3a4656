/** Everything that the facade exports, for a bundle. */
export * from "tessera";
