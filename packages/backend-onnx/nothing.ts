/** A model that does nothing, for what ONNX Runtime tells only through a session. */

import { type TensorType, trace } from "@tessera/core";
import type { SessionSignature } from "./ffi/session.ts";
import { lower } from "./lowering/lower.ts";
import { encodeModel } from "./model/encode.ts";

/** The model, and what it takes and gives. */
export function nothing(): { readonly model: Uint8Array<ArrayBuffer>; readonly signature: SessionSignature } {
  const type: TensorType = { shape: [], dtype: "float32" };
  const { model, inputNames, outputNames } = lower(trace("nothing", { x: type }, ({ x }) => ({ y: x })));
  return { model: encodeModel(model), signature: { inputNames, outputNames, outputTypes: [type] } };
}
