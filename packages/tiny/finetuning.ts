/**
 * The fine-tuning task of the tiny model: turn a message about an appointment into strict JSON with five keys, with the day as
 * `MM-DD`, the time as `HH:MM`, and null for a place that is not named. The held-out examples have people that occur nowhere in training.
 */
import { plainDay, plainTime } from "./calendar.ts";
import { type Appointment, drawAppointment, writeMessage } from "./messages.ts";
import type { Split } from "./names.ts";
import { createRandom } from "./random.ts";

/** A prompt and the one right response. */
export interface Example {
  /** The message. */
  prompt: string;
  /** The JSON that says what the message says. */
  response: string;
}

/**
 * Returns examples of the task, each prompt once, the same ones for the same arguments on every machine.
 *
 * @throws {RangeError} if `count` is not a whole number of at least 1.
 */
export function finetuningExamples(seed: number, count: number, split: Split): Example[] {
  if (!Number.isInteger(count) || count < 1) {
    throw new RangeError(`Cannot make ${count} examples: the count must be a whole number of at least 1`);
  }
  const random = createRandom(seed);
  const examples = new Map<string, Example>();
  while (examples.size < count) {
    const { text, appointment } = writeMessage(random, drawAppointment(random, split));
    examples.set(text, { prompt: text, response: appointmentJson(appointment) });
  }
  return [...examples.values()];
}

/** Returns the JSON of an appointment, with its keys in a fixed order and without spaces between them. */
export function appointmentJson({ what, who, where, day, time }: Appointment): string {
  return JSON.stringify({ what, who, where, date: plainDay(day), time: plainTime(time) });
}

/** Returns examples as JSON Lines, one `{"prompt","response"}` on each line. */
export function examplesToJsonl(examples: readonly Example[]): string {
  return examples.map((example) => JSON.stringify(example) + "\n").join("");
}
