/** What to do about errors that the user can do something about. */

/** Errors by their text, and what helps. */
const known: readonly (readonly [pattern: RegExp, advice: string])[] = [
  [
    /GPU was lost/,
    "The browser took the GPU away, as after the computer slept or the driver restarted. The page has asked for it again: " +
    "press Fine-tune to begin anew.",
  ],
  [
    /no memory left|out of memory|allocation failed|exceeds|larger than/i,
    "Fewer examples per step, shorter examples or a lower rank need less memory; so does a smaller model. " +
    "Close other pages that use the GPU.",
  ],
  [/loss of update|the loss .* is (?:NaN|Infinity)/i, "Lower the learning rate, for example to a tenth."],
  [
    /no architecture/i,
    "This page knows Gemma, Gemma 2 and Llama 3. Models of other families cannot be loaded yet.",
  ],
  [
    /tokenizer\.json|config\.json|safetensors/,
    "Choose the whole folder of the model, as it is in its repository on Hugging Face: config.json, tokenizer.json, " +
    "tokenizer_config.json and every *.safetensors with its index.",
  ],
  [
    /:\d+: |jsonl|record|example/i,
    'Every line of the file is a JSON object: {"prompt": "…", "response": "…"}, {"text": "…"} or {"messages": […]}.',
  ],
  [/worker ended/i, "Load the page again; if that does not help, the browser may be out of memory."],
];

/** Whether an error took the engine along, so that only a new one can continue. */
export function isEngineGone(message: string): boolean {
  return /GPU was lost|worker ended/.test(message);
}

/** What to do about an error; empty where its own words say it all. */
export function adviceFor(message: string): string {
  return known.find(([pattern]) => pattern.test(message))?.[1] ?? "";
}
