/**
 * Image files as the pixels that a vision tower sees.
 *
 * @module
 */
export { decodeImage } from "./decode.ts";
export type { RgbImage } from "./decode.ts";
export { encodePng } from "./encode.ts";
export { formatDetections, parseDetections } from "./detections.ts";
export type { Box, Detection, Detections, Size } from "./detections.ts";
export { detectionOverlaps, intersectionOverUnion } from "./overlap.ts";
export { dataUrl, drawDetections } from "./drawing.ts";
export type { DrawOptions } from "./drawing.ts";
export { loadMaskDecoder, maskOf } from "./mask_decoder.ts";
export type { Mask, MaskDecoder } from "./mask_decoder.ts";
export { readImageHeader } from "./header.ts";
export type { ImageFormat, ImageHeader } from "./header.ts";
export { readImage, squarePixels } from "./read_image.ts";
export type { ImageSource } from "./read_image.ts";
export { resize } from "./resize.ts";
export type { Resampling, ResizeOptions } from "./resize.ts";
