/** Tokens and passwords: checked before they are used, and in no message, whatever a server says. */
import assert from "node:assert/strict";
import { downloadRepository } from "./download/download.ts";
import { listRepository } from "./hub_listing.ts";
import { requestHub } from "./hub_request.ts";
import { redactError, redactor } from "./hub_secrets.ts";
import { checkPush } from "./push/push_target.ts";
import { accessWith, serveHostile } from "./testing/hostile_hub.ts";

const token = "hf_tok+en/of=mine";
const handle = { repository: "me/model", revision: "main" };
const request = { purpose: "read it", repository: "me/model" };

/** All that is visible of what work throws: message, stack, causes, fields. */
async function shownBy(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    const { message, stack, cause } = error as Error;
    return [message, stack, Deno.inspect(error, { depth: 9, showHidden: true }), Deno.inspect(cause)].join("\n");
  }
  throw new Error("The work did not fail");
}

const malformed: Readonly<Record<string, string>> = {
  "hf_first\nhf_second": "a line break at character 9 of 18",
  "hf_first hf_second": "a space at character 9 of 18",
  "hf_schlüssel": "a character that tokens do not have at character 8 of 12",
  "hf_first\0second": "a character that tokens do not have at character 9 of 15",
  ["hf_" + "x".repeat(5000)]: "5003 characters, and is no token",
};
for (const [wrong, problem] of Object.entries(malformed)) {
  Deno.test(`requestHub() refuses a token with ${problem} before it is sent, and does not show it`, async () => {
    await using hub = serveHostile(() => new Response("{}"));
    const variables = { HF_TOKEN: wrong, HF_ENDPOINT: hub.endpoint, HOME: "/nobody" };
    const { access } = await accessWith(hub, variables);
    const asked = () => requestHub(access, "/x", request);
    await assert.rejects(asked(), {
      code: "unauthorized",
      message:
        `Cannot read it: the token of HF_TOKEN cannot be sent, as it has ${problem}; set HF_TOKEN to a token from ` +
        `${hub.endpoint}/settings/tokens`,
    });
    const environment = (name: string) => ({ ...variables })[name];
    for (
      const work of [
        asked,
        () => downloadRepository("hf://me/model", { environment }),
        () => checkPush("hf://me/model", "model", { environment }),
      ]
    ) {
      const shown = await shownBy(work());
      assert(!/hf_|first|second|Bearer/.test(shown), shown);
    }
    assert.deepEqual(hub.paths, []);
  });
}

/** How a server can say a token that it was sent. */
const echoes: Readonly<Record<string, (token: string) => Response>> = {
  "in a header": (sent) => new Response(null, { status: 403, headers: { "x-error-message": `No ${sent} here` } }),
  "as the error of a JSON answer": (sent) => Response.json({ error: sent }, { status: 400 }),
  "after much else": (sent) => Response.json({ error: "x".repeat(290) + sent }, { status: 403 }),
  "in a page that is no JSON": (sent) => new Response(sent),
  "at the beginning of what is no JSON": (sent) => new Response(sent.replace("Bearer ", "")),
  "in a field of the wrong kind": (sent) => Response.json({ sha: sent, [sent]: sent }),
  "in a redirect": (sent) =>
    new Response(null, { status: 302, headers: { location: `file:///${encodeURIComponent(sent)}` } }),
  "in the query of a redirect": (sent) =>
    new Response(null, { status: 302, headers: { location: `/loop?token=${encodeURIComponent(sent)}` } }),
  "in base64": (sent) => Response.json({ error: btoa(sent.replace("Bearer ", "")) }, { status: 400 }),
  "in its answer to a busy hub's tries": (sent) => Response.json({ error: sent }, { status: 503 }),
};
for (const [how, answer] of Object.entries(echoes)) {
  Deno.test(`No message has a token or a password that a server says ${how}`, async () => {
    await using hub = serveHostile(({ headers }) => answer(headers.get("authorization")!));
    const withPassword = hub.endpoint.replace("//", "//reader:pass%2Fword@");
    const basic = btoa("reader:pass/word");
    for (
      const [variables, secrets] of [
        [{ HF_TOKEN: token }, [token, encodeURIComponent(token), btoa(token), "tok+en", "hf_tok"]],
        [{ HF_ENDPOINT: withPassword }, ["pass/word", "pass%2Fword", basic, basic.slice(0, 8)]],
      ] as const
    ) {
      const { access, said } = await accessWith(hub, variables, { limits: { wordMs: 0 } });
      const fail = [
        () => requestHub(access, "/x", request).then(() => listRepository(access, handle)),
        () => listRepository(access, handle),
      ];
      for (const work of fail) {
        const shown = await shownBy(work()) + said.join("\n");
        for (const secret of secrets) assert(!shown.includes(secret), `${secret} in ${shown}`);
      }
    }
  });
}

Deno.test("readHubAccess() sends a password of HF_ENDPOINT, and keeps it out of the address", async () => {
  const sent: (string | null)[] = [];
  await using hub = serveHostile(({ headers }) => {
    sent.push(headers.get("authorization"));
    return new Response("{}");
  });
  const given = { HF_ENDPOINT: hub.endpoint.replace("//", "//reader:pass%2Fword@") + "/hub/" };
  const { access } = await accessWith(hub, given);
  assert.equal(access.endpoint, `${hub.endpoint}/hub`);
  await (await requestHub(access, "/x", request)).body?.cancel();
  const both = await accessWith(hub, { ...given, HF_TOKEN: token });
  await (await requestHub(both.access, "/x", request)).body?.cancel();
  assert.deepEqual(sent, [`Basic ${btoa("reader:pass/word")}`, `Bearer ${token}`]);
  const shown = Deno.inspect([access, both.access], { depth: 9, showHidden: true });
  assert(!shown.includes("pass") && !shown.includes("hf_"), shown);
});

Deno.test("readHubAccess() rejects an endpoint without showing its password", async () => {
  const cases: Readonly<Record<string, string>> = {
    "reader:password@hub.example": 'Cannot use HF_ENDPOINT "***@hub.example": expected',
    "ftp://reader:pass@word@hub.example/x": 'Cannot use HF_ENDPOINT "ftp://***@hub.example/x": expected',
    "https://reader:password@[": 'Cannot use HF_ENDPOINT "https://***@[": expected',
    "https://hub.example?token=password": 'Cannot use HF_ENDPOINT "https://hub.example": it has a query or a fragment;',
  };
  for (const [given, begin] of Object.entries(cases)) {
    await assert.rejects(accessWith({ endpoint: given }), (error: Error) => {
      assert(error instanceof TypeError && error.message.startsWith(begin), error.message);
      assert(!Deno.inspect(error).includes("pass"), Deno.inspect(error));
      return true;
    });
  }
});

Deno.test("redactor() takes out what is a secret by its form, and what writes to a terminal", () => {
  const redact = redactor();
  const cases: Readonly<Record<string, string>> = {
    "proxy http://me:secret@proxy:8080 failed": "proxy http://***@proxy:8080 failed",
    "Invalid header value: Bearer abcdef": "Invalid header value: Bearer ***",
    [`the token hf_${"a1".repeat(17)} is old`]: "the token *** is old",
    'Cannot read "https://cdn.example/f?X-Amz-Signature=1f&e=2"': 'Cannot read "https://cdn.example/f?***"',
    "\x1b[2Jgone\u202e": " [2Jgone ",
    "see https://hub.example/me/model/tree/main": "see https://hub.example/me/model/tree/main",
  };
  for (const [text, expected] of Object.entries(cases)) assert.equal(redact(text), expected);
});

Deno.test("redactError() keeps an error's class and code, also where its message cannot be changed", () => {
  const redact = redactor(["s3cret"]);
  const plain = new RangeError("No s3cret", { cause: new TypeError("s3cret too") });
  assert.equal(redactError(plain, redact), plain);
  assert.deepEqual([plain.message, (plain.cause as Error).message], ["No ***", "*** too"]);
  assert(!Deno.inspect(plain).includes("s3cret"), Deno.inspect(plain));
  for (const fixed of [new DOMException("s3cret"), Object.freeze(new Error("s3cret"))]) {
    const other = redactError(fixed, redact) as Error;
    assert.equal(other.message, "***");
    assert(!Deno.inspect(other).includes("s3cret"), Deno.inspect(other));
  }
  const clean = Object.freeze(new Error("nothing"));
  assert.equal(redactError(clean, redact), clean);
});
