/**
 * Short messages about appointments, as people send them, and what each one says. Pretraining asks single questions about them;
 * fine-tuning turns them into JSON.
 */
import { type Day, daySpellings, drawDay, drawTime, type Time, timeSpellings } from "./calendar.ts";
import { drawPerson, drawPlace, type Split } from "./names.ts";
import type { Random } from "./random.ts";

/** What a message says. */
export interface Appointment {
  /** The occasion, such as "dinner". */
  what: string;
  /** The person to meet. */
  who: string;
  /** The city or town, or null where the message names none. */
  where: string | null;
  /** The day. */
  day: Day;
  /** The time of day. */
  time: Time;
}

/** A message and the words that it uses for the day and the time. */
export interface Message {
  /** The message as it is sent. */
  text: string;
  /** What it says. */
  appointment: Appointment;
  /** The day as the message writes it, such as "the 3rd of March". */
  dayWords: string;
  /** The time as the message writes it, such as "half past seven in the evening". */
  timeWords: string;
}

/** An occasion for an appointment. */
interface Occasion {
  /** Its name, such as "piano lesson". */
  name: string;
  /** The article that stands before it, if any. */
  article: "" | "a" | "an";
  /** The first and the last hour at which it may begin. */
  hours: readonly [first: number, last: number];
}

/** The occasions. */
const occasions: readonly Occasion[] = [
  { name: "breakfast", article: "", hours: [7, 10] },
  { name: "brunch", article: "", hours: [10, 12] },
  { name: "lunch", article: "", hours: [11, 14] },
  { name: "dinner", article: "", hours: [17, 21] },
  { name: "supper", article: "", hours: [18, 21] },
  { name: "coffee", article: "", hours: [8, 18] },
  { name: "tea", article: "", hours: [14, 18] },
  { name: "drinks", article: "", hours: [16, 21] },
  { name: "yoga", article: "", hours: [7, 20] },
  { name: "chess", article: "", hours: [9, 21] },
  { name: "tennis", article: "", hours: [8, 20] },
  { name: "football", article: "", hours: [9, 20] },
  { name: "meeting", article: "a", hours: [8, 18] },
  { name: "call", article: "a", hours: [8, 20] },
  { name: "interview", article: "an", hours: [8, 18] },
  { name: "haircut", article: "a", hours: [9, 18] },
  { name: "party", article: "a", hours: [12, 21] },
  { name: "picnic", article: "a", hours: [10, 19] },
  { name: "walk", article: "a", hours: [7, 20] },
  { name: "concert", article: "a", hours: [14, 21] },
  { name: "film", article: "a", hours: [13, 21] },
  { name: "workshop", article: "a", hours: [8, 18] },
  { name: "rehearsal", article: "a", hours: [9, 21] },
  { name: "piano lesson", article: "a", hours: [8, 20] },
  { name: "dance class", article: "a", hours: [9, 21] },
  { name: "board game", article: "a", hours: [10, 21] },
  { name: "guided tour", article: "a", hours: [8, 18] },
  { name: "photo shoot", article: "a", hours: [7, 20] },
  { name: "museum visit", article: "a", hours: [9, 18] },
  { name: "eye test", article: "an", hours: [8, 18] },
];

/** Message forms. Text in brackets is left out where there is no place. `A_WHAT` has its article; a capital opens a sentence. */
const forms = [
  "WHAT with WHO[ in WHERE] on DAY at TIME",
  "WHAT with WHO on DAY at TIME[ in WHERE]",
  "WHAT[ in WHERE] with WHO, DAY, TIME",
  "WHAT at TIME on DAY with WHO[ in WHERE]",
  "On DAY at TIME: A_WHAT with WHO[ in WHERE]",
  "At TIME on DAY I have A_WHAT with WHO[ in WHERE].",
  "I have A_WHAT with WHO[ in WHERE] on DAY at TIME.",
  "Let us have A_WHAT with WHO[ in WHERE] on DAY, at TIME.",
  "WHO invited me to A_WHAT[ in WHERE] on DAY at TIME.",
  "WHO wants A_WHAT on DAY at TIME[ in WHERE].",
  "I am meeting WHO for A_WHAT[ in WHERE] at TIME on DAY.",
  "Reminder: A_WHAT with WHO on DAY at TIME[, in WHERE].",
  "Can you book A_WHAT with WHO[ in WHERE] for DAY at TIME?",
  "Please note A_WHAT with WHO: DAY, TIME[, WHERE].",
  "Hi, it is WHO. Shall we have A_WHAT[ in WHERE] on DAY at TIME?",
  "See you[ in WHERE] on DAY at TIME for A_WHAT! WHO",
  "Are you free for A_WHAT on DAY at TIME[ in WHERE]? Best, WHO",
  "DAY, TIME: A_WHAT with WHO[ in WHERE]",
];

/** Draws what a message is to say. */
export function drawAppointment(random: Random, split: Split): Appointment {
  const { name, hours } = random.pick(occasions);
  return {
    what: name,
    who: drawPerson(random, split),
    where: random.chance(0.15) ? null : drawPlace(random, split),
    day: drawDay(random),
    time: drawTime(random, hours),
  };
}

/** Writes a message that says what an appointment holds, in one of many forms. */
export function writeMessage(random: Random, appointment: Appointment): Message {
  const { what, who, where, day, time } = appointment;
  const dayWords = random.pick(daySpellings(day));
  const timeWords = random.pick(timeSpellings(time));
  const article = occasions.find(({ name }) => name === what)?.article ?? "";
  const parts: Record<string, string> = {
    WHO: who,
    WHERE: where ?? "",
    DAY: dayWords,
    TIME: timeWords,
    WHAT: what,
    A_WHAT: article === "" ? what : `${article} ${what}`,
  };
  const text = random.pick(forms)
    .replace(/\[(.*?)\]/, where === null ? "" : "$1")
    .replace(/A_WHAT|WHAT|WHO|WHERE|DAY|TIME/g, (part) => parts[part] ?? part);
  return { text: text.charAt(0).toUpperCase() + text.slice(1), appointment, dayWords, timeWords };
}
