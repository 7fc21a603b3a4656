import { Template } from "@huggingface/jinja";

/** One message of a conversation. */
export interface ChatMessage {
  /** Who speaks, such as `user` or `assistant`; the template decides which roles there are. */
  readonly role: string;
  /** What they say. */
  readonly content: string;
  /** The calls of tools that they ask for, in the form that the template wants. */
  readonly tool_calls?: readonly object[];
  /** The call that the content is the result of. */
  readonly tool_call_id?: string;
  /** The name of the speaker or of the tool. */
  readonly name?: string;
}

/** What a template may refer to beside the messages. */
export interface ChatContext {
  /** Whether to end with the start of the model's turn. */
  readonly addGenerationPrompt: boolean;
  /** The text of each special token, by the name that templates use, such as `bos_token`. */
  readonly specialTokens: Readonly<Record<string, string>>;
  /** The tools that the model may call, in the form that the template wants; `null` for none. */
  readonly tools: readonly object[] | null;
  /** What else the template asks for, by name. */
  readonly variables: Readonly<Record<string, unknown>>;
}

/** Turns a conversation into the text that a model was trained on. */
export type ChatTemplate = (messages: readonly ChatMessage[], context: ChatContext) => string;

/**
 * Compiles a Jinja chat template that came from `path`.
 *
 * @throws {SyntaxError} when it is not Jinja that is understood here.
 */
export function compileChatTemplate(path: string, source: string): ChatTemplate {
  let template: Template;
  try {
    template = new Template(source);
  } catch (cause) {
    throw new SyntaxError(`Cannot compile the chat template of "${path}": ${(cause as Error).message}`, { cause });
  }
  return (messages, { addGenerationPrompt, specialTokens, tools, variables }) => {
    try {
      // The engine brings `raise_exception`, with which templates refuse messages.
      const own = { messages, tools, add_generation_prompt: addGenerationPrompt };
      return template.render({ ...specialTokens, ...variables, ...own });
    } catch (cause) {
      const roles = messages.map(({ role }) => role).join(", ");
      throw new Error(
        `Cannot apply the chat template of "${path}" to messages with the roles [${roles}]: ${
          (cause as Error).message
        }`,
        { cause },
      );
    }
  };
}
