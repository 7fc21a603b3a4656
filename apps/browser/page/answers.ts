/** The same questions, answered before and after training, side by side. */
import { make } from "./dom.ts";
import type { Pair } from "./facts.ts";

type When = "before" | "after";

interface Side {
  readonly text: HTMLElement;
  readonly mark: HTMLElement;
}

interface Row {
  readonly pair: Pair;
  readonly sides: Readonly<Record<When, Side>>;
}

/** The list of questions with their answers. */
export class Answers {
  readonly #list: HTMLElement;
  readonly #score: HTMLElement;
  #pairs: readonly Pair[] = [];
  #rows: Row[] = [];
  #right: Record<When, Set<number>> = { before: new Set(), after: new Set() };

  /** Shows questions in a list, and how many answers are right in a line of text. */
  constructor(list: HTMLElement, score: HTMLElement) {
    this.#list = list;
    this.#score = score;
  }

  /** Takes new questions. */
  ask(pairs: readonly Pair[]): void {
    this.#pairs = pairs;
    this.clear();
  }

  /** Removes all answers. */
  clear(): void {
    this.reset();
    this.#score.textContent = this.#pairs.length === 0
      ? "The examples ask no questions that have one right answer."
      : "Examples that training does not see.";
  }

  /** Shows the questions without answers. */
  reset(): void {
    this.#right = { before: new Set(), after: new Set() };
    this.#rows = this.#pairs.map((pair) => ({ pair, sides: { before: side(), after: side() } }));
    this.#list.replaceChildren(...this.#rows.map(({ pair, sides }) => {
      const box = (title: string, { text, mark }: Side) =>
        make("div", "side", make("h3", "", make("span", "", title), mark), text);
      return make(
        "li",
        "",
        make("p", "", pair.prompt),
        make("p", "soft", `Expected: ${pair.response}`),
        make("div", "sides", box("Before", sides.before), box("After", sides.after)),
      );
    }));
  }

  /** Shows an answer, or as much of it as there is. */
  show(when: When, question: number, text: string, ended: boolean): void {
    const { pair, sides } = this.#rows[question]!;
    sides[when].text.textContent = text.trim() + (ended ? "" : " …");
    if (!ended) return;
    const isRight = text.trim() === pair.response.trim();
    if (isRight) this.#right[when].add(question);
    const { mark } = sides[when];
    mark.textContent = isRight ? "✓ right" : "✗ not as expected";
    mark.className = isRight ? "right" : "wrong";
    const { before, after } = this.#right;
    const total = this.#pairs.length;
    this.#score.textContent = `Right to the character: ${before.size} of ${total} before` +
      (when === "after" ? `, ${after.size} of ${total} after.` : ".");
  }
}

function side(): Side {
  return { text: make("p", "", "—"), mark: make("span", "") };
}
