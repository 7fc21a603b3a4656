/** Watching what stays allocated on a backend. */
import type { TensorType } from "@tessera/core";
import type { DeviceBuffer } from "@tessera/runtime";
import type { Backend } from "tessera";

/** A backend, and the buffers that were uploaded to it and not disposed. */
export interface WatchedBackend {
  /** Does what the watched backend does. */
  readonly backend: Backend;
  /** The buffers that live now. */
  readonly live: ReadonlySet<DeviceBuffer>;
}

/** Watches the buffers of some types, or all that are uploaded. */
export function watchBuffers(watched: Backend, counts: (type: TensorType) => boolean = () => true): WatchedBackend {
  const live = new Set<DeviceBuffer>();
  const upload: Backend["upload"] = (tensor, device) => {
    const buffer = watched.upload(tensor, device);
    if (!counts(tensor)) return buffer;
    live.add(buffer);
    const dispose = buffer.dispose.bind(buffer);
    buffer.dispose = () => {
      live.delete(buffer);
      dispose();
    };
    return buffer;
  };
  return { backend: { ...watched, upload }, live };
}
