/**
 * The text that `gemma2-tiny` is pretrained on: an endless stream of short documents. They teach to read a message and answer one
 * question about it, to write days and times in plain form, to copy words never seen before, and to write small JSON records.
 * None of them turns a message into JSON and none has the keys of the fine-tuning task: fine-tuning adds that skill.
 */
import { daySpellings, drawDay, drawTime, plainDay, plainTime, timeSpellings } from "./calendar.ts";
import { type Appointment, drawAppointment, type Message, writeMessage } from "./messages.ts";
import { drawPerson, drawPlace, inventWord, isReservedName } from "./names.ts";
import { createRandom, type Random } from "./random.ts";

/**
 * Writes a document of one kind. The novelty grows from 0 to 1 along the stream: it is how many names are invented, and how long they
 * are. Copying is learned from short names first; without that start it takes several times as long.
 */
type Writer = (random: Random, novelty: number) => string;

/** The kinds of document and how often each comes. */
const kinds: readonly { share: number; write: Writer }[] = [
  { share: 0.45, write: writeReading },
  { share: 0.1, write: writeChat },
  { share: 0.15, write: writePlainForms },
  { share: 0.15, write: writeCopy },
  { share: 0.15, write: writeRecord },
];

/** The numbers of the documents between which the novelty grows from 0 to 1. */
const noveltyRamp = { from: 30_000, to: 60_000 };

/**
 * Yields documents without end, the same ones for the same seed on every machine.
 *
 * A trainer gives each document a sequence of its own, with `<bos>` before it and `<eos>` after it. Some documents hold the special
 * tokens `<start_of_turn>` and `<end_of_turn>`, which a tokenizer must encode as such.
 */
export function* pretrainingText(seed: number): Generator<string, never> {
  const random = createRandom(seed);
  for (let index = 0;; index++) {
    const novelty = Math.min(1, Math.max(0, (index - noveltyRamp.from) / (noveltyRamp.to - noveltyRamp.from)));
    let share = random.below(1000) / 1000;
    const kind = kinds.find((candidate) => (share -= candidate.share) < 0) ?? kinds[0];
    if (kind !== undefined) yield kind.write(random, novelty);
  }
}

/** Fields that a document asks about: how it asks, and what the answer is. */
const questions: readonly { ask: readonly string[]; answer: (message: Message) => string }[] = [
  { ask: ["Who?", "With whom?", "Person:"], answer: ({ appointment }) => appointment.who },
  { ask: ["Where?", "In which town?", "Place:"], answer: ({ appointment }) => appointment.where ?? "not said" },
  { ask: ["What?", "What for?", "Occasion:"], answer: ({ appointment }) => appointment.what },
  { ask: ["Which day?", "Day:"], answer: ({ dayWords }) => dayWords },
  { ask: ["When?", "Time:"], answer: ({ timeWords }) => timeWords },
  { ask: ["Date in figures?", "Date:"], answer: ({ appointment }) => plainDay(appointment.day) },
  { ask: ["Time in figures?", "Clock:"], answer: ({ appointment }) => plainTime(appointment.time) },
];

/** Writes a message and answers to several questions about it, one on each line. */
function writeReading(random: Random, novelty: number): string {
  const message = writeMessage(random, drawAppointmentToRead(random, novelty));
  const lines = random.shuffle(questions).slice(0, 5 + random.below(3))
    .map(({ ask, answer }) => `${random.pick(ask)} ${answer(message)}`);
  return [message.text, ...lines].join("\n");
}

/** Writes a question about a message and its answer as two turns of a chat. */
function writeChat(random: Random, novelty: number): string {
  const message = writeMessage(random, drawAppointmentToRead(random, novelty));
  const { ask, answer } = random.pick(questions);
  return `<start_of_turn>user\n${message.text}\n${random.pick(ask)}<end_of_turn>\n` +
    `<start_of_turn>model\n${answer(message)}<end_of_turn>`;
}

/** Writes days and times in two ways each, one pair on each line. */
function writePlainForms(random: Random): string {
  const lines: string[] = [];
  for (let left = 3 + random.below(3); left > 0; left--) {
    const day = drawDay(random);
    const time = drawTime(random);
    lines.push(
      random.chance(0.5)
        ? `${random.pick(daySpellings(day))} is ${plainDay(day)}`
        : `${random.pick(timeSpellings(time))} is ${plainTime(time)}`,
    );
  }
  return lines.join("\n");
}

/** Writes a list of names and then repeats all or some of it. */
function writeCopy(random: Random, novelty: number): string {
  const list = Array.from({ length: 2 + random.below(4) }, () => drawName(random, novelty));
  const tasks: [string, string][] = [
    ["Again", list.join(", ")],
    ["Again", list.join(", ")],
    ["First", list[0] ?? ""],
    ["Last", list.at(-1) ?? ""],
    ["After " + list[0], list[1] ?? ""],
  ];
  const [task, answer] = random.pick(tasks);
  return `${list.join(", ")}\n${task}: ${answer}`;
}

/** The fields of the records, and how the value of each is drawn. */
const fields: Readonly<Record<string, Writer>> = {
  name: drawName,
  town: (random, novelty) => random.chance(0.5) ? drawPlace(random, "train") : inventName(random, novelty),
  item: (random) =>
    random.pick(["tea", "bread", "milk", "rice", "lamp", "chair", "book", "coat", "hat", "cup", "piano", "film"]),
  colour: (random) => random.pick(["red", "blue", "green", "white", "black", "yellow", "brown", "grey"]),
  count: (random) => String(1 + random.below(99)),
  code: (random) => `${10 + random.below(90)}-${10 + random.below(90)}`,
  ratio: (random) => `${10 + random.below(90)}:${10 + random.below(90)}`,
};

/** Writes a record as "key: value" notes and then as JSON, where a value that was not said is null. */
function writeRecord(random: Random, novelty: number): string {
  const keys = random.shuffle(Object.keys(fields)).slice(0, 2 + random.below(4));
  const record = Object.fromEntries(
    keys.map((key) => [key, random.chance(0.1) ? null : fields[key]?.(random, novelty) ?? null]),
  );
  const notes = keys.map((key) => `${key}: ${record[key] ?? "not said"}`).join("; ");
  return `${notes}\n${JSON.stringify(record)}`;
}

/** Draws an appointment; most of its names are invented, so that they can only be copied. */
function drawAppointmentToRead(random: Random, novelty: number): Appointment {
  const appointment = drawAppointment(random, "train");
  const invented = 0.5 + 0.25 * novelty;
  if (random.chance(invented)) appointment.who = drawName(random, novelty);
  if (appointment.where !== null && random.chance(invented)) appointment.where = inventName(random, novelty);
  return appointment;
}

/** Draws a person's name, mostly an invented one, that no held-out example has. */
function drawName(random: Random, novelty: number): string {
  if (random.chance(0.2)) return drawPerson(random, "train");
  for (;;) {
    const name = random.chance(0.2)
      ? inventName(random, novelty)
      : `${inventName(random, novelty)} ${inventName(random, novelty)}`;
    if (!isReservedName(name)) return name;
  }
}

/** Invents one word of a name; the more novelty, the more often it is a long one. */
function inventName(random: Random, novelty: number): string {
  return inventWord(random, random.chance(novelty) ? "long" : "short");
}
