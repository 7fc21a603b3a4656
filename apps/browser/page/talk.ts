/** A conversation with the model. */
import type { ChatMessage } from "tessera";
import { find, make } from "./dom.ts";

/** What a conversation needs from the page. */
export interface TalkOptions {
  /** Answers messages, streamed through `Talk.add`; null when that failed. */
  readonly ask: (messages: readonly ChatMessage[]) => Promise<string | null>;
  /** Whether the model sees the messages before the last one. */
  readonly isChat: () => boolean;
  /** Ends the answer under way. */
  readonly stop: () => void;
}

/** The messages, and the form that adds to them. */
export class Talk {
  readonly #options: TalkOptions;
  readonly #list = find("talk", HTMLOListElement);
  readonly #field = find("question", HTMLTextAreaElement);
  readonly #forget = find("forget", HTMLButtonElement);
  readonly #hush = find("hush", HTMLButtonElement);
  #messages: ChatMessage[] = [];
  #answer: HTMLElement | null = null;

  /** Takes over the form of the page. */
  constructor(options: TalkOptions) {
    this.#options = options;
    const form = find("ask-form", HTMLFormElement);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (!find("ask", HTMLButtonElement).disabled) void this.#send();
    });
    this.#field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      form.requestSubmit();
    });
    this.#hush.addEventListener("click", () => this.#options.stop());
    this.#forget.addEventListener("click", () => this.clear());
  }

  /** Adds text to the answer under way. */
  add(piece: string): void {
    if (this.#answer !== null) this.#answer.textContent += piece;
  }

  /** Clears the conversation when the model changes. */
  clear(): void {
    this.#messages = [];
    this.#list.replaceChildren();
    this.#forget.hidden = true;
  }

  async #send(): Promise<void> {
    const content = this.#field.value.trim();
    if (content === "") return;
    this.#field.value = "";
    if (!this.#options.isChat()) this.#messages = [];
    this.#messages.push({ role: "user", content });
    this.#answer = make("p", "answer");
    const item = make("li", "", make("p", "", content), this.#answer);
    this.#list.append(item);
    [this.#hush.hidden, this.#forget.hidden] = [false, true];
    const answer = await this.#options.ask(this.#messages);
    [this.#hush.hidden, this.#forget.hidden] = [true, false];
    if (answer === null) {
      item.remove();
      this.#messages.pop();
      this.#field.value = content;
    } else {
      if (answer.trim() === "") this.#answer.textContent = "(nothing)";
      this.#messages.push({ role: "assistant", content: answer });
    }
    this.#answer = null;
    this.#field.focus();
  }
}
