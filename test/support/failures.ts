/** Checking what people are told when something is wrong. */
import assert from "node:assert/strict";

/** Requires that something fails with an error of a class whose message has all the given texts. */
export async function assertFails(
  run: () => unknown,
  kind: new (message: string) => Error,
  parts: readonly (string | RegExp)[],
): Promise<void> {
  let error: unknown;
  try {
    await run();
  } catch (thrown) {
    error = thrown;
  }
  assert(error instanceof Error, "It must fail, and did not");
  const { message } = error;
  // Errors with a code are subclasses that keep the name of their class.
  assert.equal(error.name, kind.name, message);
  for (const part of parts) {
    const has = typeof part === "string" ? message.includes(part) : part.test(message);
    assert(has, `${JSON.stringify(String(part))} is not in the message: ${message}`);
  }
  assert(/^[A-Z"]/.test(message) && !message.endsWith("."), `The message is no sentence of ours: ${message}`);
}
