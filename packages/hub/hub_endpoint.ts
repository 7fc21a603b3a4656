/** The address of a hub, as `HF_ENDPOINT` gives it: a password in it is sent, and never shown. */

/** The parts of a hub's address. */
export interface HubEndpoint {
  /** The address without name and password, and without a slash at its end. */
  readonly endpoint: string;
  /** What a request carries where there is a name or a password and no token, `Basic …`; `null` without. */
  readonly authorization: string | null;
  /** What must not be shown. */
  readonly secrets: readonly string[];
}

/**
 * Takes an address apart.
 *
 * @throws {TypeError} when it is no address of http or https, or has a query; the message has no password.
 */
export function readEndpoint(text: string): HubEndpoint {
  const url = URL.parse(text);
  const isWeb = url?.protocol === "https:" || url?.protocol === "http:";
  if (url === null || !isWeb || url.search !== "" || url.hash !== "") {
    // Without a scheme, the name and the password end at the last "@".
    const shown = text.replace(/[?#].*$/s, "").replace(/^(\w+:\/\/)?.*@/s, "$1***@");
    const problem = isWeb ? "it has a query or a fragment; " : "";
    throw new TypeError(
      `Cannot use HF_ENDPOINT "${shown}": ${problem}expected an address such as https://huggingface.co`,
    );
  }
  const { username, password } = url;
  if (username === "" && password === "") {
    return { endpoint: text.replace(/\/+$/, ""), authorization: null, secrets: [] };
  }
  const [name, secret] = [username, password].map(decode) as [string, string];
  [url.username, url.password] = ["", ""];
  const pair = `${name}:${secret}`;
  return {
    endpoint: url.href.replace(/\/+$/, ""),
    authorization: `Basic ${new TextEncoder().encode(pair).toBase64()}`,
    // A name without a password is a token.
    secrets: [pair, ...(secret === "" ? [name, username] : [secret, password])],
  };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
