export { GemmaBackbone } from "./gemma.ts";
