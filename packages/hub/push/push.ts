/**
 * Sharing what was trained: an adapter or a whole model, as a repository on the Hugging Face Hub.
 *
 * Everything that can be refused is refused before anything is sent; then large files go one by one, read from the disk as they are sent, and
 * one commit puts all of it in its place.
 */
import { type Folder, folderOf } from "@tessera/files";
import { checkOptions, type OptionNames } from "@tessera/text";
import { requestHub } from "../hub_request.ts";
import { readAnswerText } from "../hub_listing.ts";
import { withRedaction } from "../hub_secrets.ts";
import { parseHandle } from "../hub_handle.ts";
import { isOwnCard, type ModelCardDetails, writeModelCard } from "./model_card.ts";
import { isWeightsFile, type PushedFolder, readPushedFolder } from "./push_folder.ts";
import { type PushReporter, showPushes } from "./push_reporter.ts";
import { checkPush, prepareRepository, type PushAccess, type PushTarget, type Visibility } from "./push_target.ts";
import { commitFiles, type UploadFile } from "./upload_commit.ts";

/** How results are pushed. */
export interface PushOptions extends PushAccess {
  /** Who can see a repository that is made for it; `"private"` unless given. One that is there stays as it is. */
  readonly visibility?: Visibility;
  /** The base model, as a handle such as `hf://google/gemma-2-9b`, where an adapter does not name it itself. */
  readonly baseModel?: string;
  /** What the model card says in addition to what the files say. */
  readonly card?: ModelCardDetails;
  /** Receives its events; standard error unless given, nobody when `null`. */
  readonly reporter?: PushReporter | null;
}

const optionNames: OptionNames<PushOptions> = {
  visibility: true,
  baseModel: true,
  card: true,
  reporter: true,
  signal: true,
  environment: true,
  wait: true,
  limits: true,
  onWait: true,
};

/** What a push came to. */
export interface Pushed {
  /** The page of the repository. */
  readonly url: string;
  /** Who can see it. */
  readonly visibility: Visibility;
  /** The commit; `null` when everything was there already. */
  readonly commit: string | null;
  /** The files that were changed. */
  readonly changed: readonly string[];
  /** The bytes of large files that were sent. */
  readonly sentBytes: number;
}

/**
 * Pushes a folder that `saveAdapter` or `saveToPreset` wrote to a repository on the Hugging Face Hub, such as `hf://me/my-gemma`, and
 * makes the repository unless it is there. A model card is written for it where there is none. What the hub has already is not sent
 * again.
 *
 * The token is that of `HF_TOKEN`, or the one that Hugging Face's own tools keep; `HF_ENDPOINT` names another hub.
 *
 * @throws {TypeError} when an option has an unknown name.
 * @throws {RangeError} when it is no handle.
 * @throws {Error} when the folder is not complete, the token may not write there, or the hub cannot be reached or refuses; the
 * repository is then as it was.
 */
export async function pushToHub(handle: string, from: string | Folder, options: PushOptions = {}): Promise<Pushed> {
  checkOptions(`push to "${handle}"`, options, optionNames);
  const { visibility = "private", reporter = defaultReporter(), signal } = options;
  const content = await readPushedFolder(
    folderOf(from),
    options.baseModel === undefined ? null : baseOf(options.baseModel),
  );
  // Whoever gets no events gets none of waiting either.
  const onWait = options.onWait ?? ((text: string) => reporter?.waiting?.(text));
  const found = await checkPush(handle, content.kind, { ...options, onWait });
  return await withRedaction(
    found.access,
    signal,
    () => pushContent(content, found, { ...options, visibility, reporter }),
  );
}

/** Pushes what is complete to where it may go. */
async function pushContent(
  content: PushedFolder,
  found: PushTarget,
  options: PushOptions & Required<Pick<PushOptions, "visibility" | "reporter">>,
): Promise<Pushed> {
  const { visibility, reporter, signal } = options;
  const whenever = signal === undefined ? {} : { signal };
  const target = await prepareRepository(found, { visibility, ...whenever });
  const files = [...content.files, ...await cardFor(target, content, options)];
  const names = new Set(files.map(({ path }) => path));
  try {
    const done = await commitFiles(files, {
      summary: content.kind === "adapter" ? "Upload adapter" : "Upload model",
      // Shards of an earlier model would be taken for shards of this one.
      removed: content.kind === "model"
        ? [...target.files.keys()].filter((path) => isWeightsFile(path) && !names.has(path))
        : [],
      remote: target.files,
      onProgress: (progress) => reporter?.progress(progress),
    }, { access: target.access, repository: target.repository, ...whenever });
    return { url: target.url, visibility: target.visibility ?? visibility, ...done };
  } finally {
    reporter?.end();
  }
}

/** Standard error, which a page does not have. */
function defaultReporter(): PushReporter | null {
  return "process" in globalThis ? showPushes() : null;
}

/** The repository of a base model, from its handle. */
function baseOf(handle: string): string {
  const parsed = parseHandle(handle);
  if (parsed !== null) return parsed.repository;
  throw new RangeError(`Cannot use "${handle}" as the base model: expected a handle such as "hf://google/gemma-2-9b"`);
}

/** The model card, unless the folder has one, or the repository one that somebody has made their own. */
async function cardFor(
  { repository, files, access }: PushTarget,
  content: PushedFolder,
  { card = {}, signal }: PushOptions,
): Promise<UploadFile[]> {
  const path = "README.md";
  if (content.files.some((file) => file.path === path)) return [];
  if (files.has(path)) {
    const purpose = `read the model card of ${repository}`;
    const about = { purpose, repository, ...(signal === undefined ? {} : { signal }) };
    const response = await requestHub(access, `/${repository}/resolve/main/${path}`, about);
    if (!isOwnCard(await readAnswerText(access, response, about))) return [];
  }
  return [{ path, content: new Blob([writeModelCard({ ...content, repository }, card)]) }];
}
