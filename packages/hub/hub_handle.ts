/** Names of repositories on the Hugging Face Hub, as users write them: `hf://owner/name`, or `hf://owner/name@revision`. */

/** A repository at one of its revisions. */
export interface RepositoryHandle {
  /** Its owner and name, such as `google/gemma-2-9b`. */
  readonly repository: string;
  /** A branch, a tag or a commit; `main` unless named. */
  readonly revision: string;
}

const part = String.raw`[\w-][\w.-]*`;
const handle = new RegExp(`^hf://(${part}/${part})(?:@(${part}(?:/${part})*))?$`);

/**
 * The repository that a handle names; `null` for a text that is no handle, such as a path.
 *
 * @throws {RangeError} when it is a handle of another kind, or one without an owner or a name.
 */
export function parseHandle(text: string): RepositoryHandle | null {
  if (!/^\w+:\/\//.test(text)) return null;
  const [, repository, revision = "main"] = handle.exec(text) ?? [];
  if (repository !== undefined) return { repository, revision };
  throw new RangeError(
    `Cannot use "${text}": a handle is "hf://" with an owner and a name, and a revision if need be, as in ` +
      '"hf://google/gemma-2-9b" and "hf://google/gemma-2-9b@main"',
  );
}

/** The handle of a repository at a revision, as a user would write it. */
export function formatHandle({ repository, revision }: RepositoryHandle): string {
  return `hf://${repository}${revision === "main" ? "" : `@${revision}`}`;
}
