/**
 * What tests of this and other packages share: a hub on loopback.
 *
 * @module
 */
export {
  commitOf,
  type Fault,
  gitHash,
  type HubHandler,
  type HubServer,
  type ServedRepository,
  type ServedRequest,
  serveHub,
} from "./testing/hub_server.ts";
export { type ServedCommit, serveUploadHub, type UploadHub, type UploadHubOptions } from "./testing/upload_hub.ts";
export { filesOf, withHub } from "./testing/with_hub.ts";
