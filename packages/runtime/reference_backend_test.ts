import { conformance, referenceBackend } from "./testing.ts";

conformance("reference", () => referenceBackend(), {
  openDevices: (deviceCount) => referenceBackend({ deviceCount }),
  singleThreaded: true,
});
