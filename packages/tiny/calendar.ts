/**
 * Days and times of day, and the ways in which people write them: "the 3rd of March", "Mar 3", "half past seven in the evening",
 * "7:30 pm". The plain form of a day is `MM-DD`, that of a time is `HH:MM` on a 24-hour clock.
 */
import type { Random } from "./random.ts";

/** A day of the year. */
export interface Day {
  /** The month, from 1 to 12. */
  month: number;
  /** The day of the month, from 1. */
  day: number;
}

/** A time of day. */
export interface Time {
  /** The hour, from 0 to 23. */
  hour: number;
  /** The minute, from 0 to 59. */
  minute: number;
}

const months = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];
const daysInMonth = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const units = "zero one two three four five six seven eight nine ten eleven twelve".split(" ");
const teens = "thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split(" ");
const ordinals =
  ("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth " +
    "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth").split(" ");

/** Draws a day of the year. */
export function drawDay(random: Random): Day {
  const month = random.below(12);
  return { month: month + 1, day: random.below(at(daysInMonth, month)) + 1 };
}

/** Draws a time on a multiple of five minutes, with its hour in a range: from seven in the morning to nine in the evening if not given. */
export function drawTime(random: Random, [first, last]: readonly [first: number, last: number] = [7, 21]): Time {
  const minute = random.chance(0.5) ? random.pick([0, 0, 15, 30, 30, 45]) : random.below(12) * 5;
  return { hour: first + random.below(last - first + 1), minute };
}

/** Returns a day as `MM-DD`. */
export function plainDay({ month, day }: Day): string {
  return `${twoDigits(month)}-${twoDigits(day)}`;
}

/** Returns a time as `HH:MM`. */
export function plainTime({ hour, minute }: Time): string {
  return `${twoDigits(hour)}:${twoDigits(minute)}`;
}

/** Returns the ways in which a day is written; each reads well after "on". */
export function daySpellings({ month, day }: Day): string[] {
  const name = at(months, month - 1);
  const short = name.slice(0, 3);
  const numeral = `${day}${ordinalSuffix(day)}`;
  return [
    `${day} ${name}`,
    `${name} ${day}`,
    `the ${numeral} of ${name}`,
    `${name} ${numeral}`,
    `the ${ordinalWord(day)} of ${name}`,
    `${day} ${short}`,
    `${short} ${day}`,
  ];
}

/** Returns the ways in which a time is written; each reads well after "at". */
export function timeSpellings({ hour, minute }: Time): string[] {
  const half = hour < 12 ? "am" : "pm";
  const part = partOfDay(hour);
  const clock = hour % 12 === 0 ? 12 : hour % 12;
  const spellings = [plainTime({ hour, minute }), `${clock}:${twoDigits(minute)} ${half}`];
  if (minute === 0) {
    spellings.push(`${clock} ${half}`, `${at(units, clock)} ${part}`, `${at(units, clock)} o'clock ${part}`);
    if (hour === 12) spellings.push("noon");
  } else if (minute <= 30) {
    spellings.push(`${minuteWord(minute)} past ${at(units, clock)} ${part}`);
  } else {
    spellings.push(`${minuteWord(60 - minute)} to ${at(units, clock % 12 + 1)} ${part}`);
  }
  return spellings;
}

/** Names the part of the day in which an hour falls. */
function partOfDay(hour: number): string {
  if (hour < 12) return "in the morning";
  return hour < 18 ? "in the afternoon" : "in the evening";
}

/** Names a distance of up to thirty minutes from a full hour. */
function minuteWord(minutes: number): string {
  const named: Record<number, string> = { 15: "quarter", 20: "twenty", 25: "twenty-five", 30: "half" };
  return named[minutes] ?? at([...units, ...teens], minutes);
}

/** Returns the ordinal word of a day of the month, such as "twenty-first". */
function ordinalWord(day: number): string {
  if (day <= 20) return at(ordinals, day - 1);
  if (day === 30) return "thirtieth";
  return `${day < 30 ? "twenty" : "thirty"}-${at(ordinals, day % 10 - 1)}`;
}

/** Returns "st", "nd", "rd" or "th". */
function ordinalSuffix(day: number): string {
  if (day >= 11 && day <= 13) return "th";
  return ["th", "st", "nd", "rd"][day % 10] ?? "th";
}

/** Writes a number with two digits. */
function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}

/** Returns an element that is known to exist. */
function at<T>(list: readonly T[], index: number): T {
  const element = list[index];
  if (element === undefined) throw new RangeError(`Cannot read element ${index}: the list has ${list.length}`);
  return element;
}
