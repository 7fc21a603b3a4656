/**
 * The people and places that the tiny model reads about, in two sets. The *known* set appears in the pretraining text and in the
 * training examples. The *reserved* set appears in the held-out examples alone: a correct answer there is reading and not
 * memory. A full name is reserved when either of its words is, and also when its hash says so: no full name of a held-out example
 * occurs anywhere in training, whichever words it is made of.
 */
import { hashText, type Random } from "./random.ts";

/** Words of one kind, split by where they may appear. */
export interface WordList {
  /** Words that training may use. */
  known: readonly string[];
  /** Words that the held-out examples alone may use. */
  reserved: readonly string[];
}

/** Given names. */
export const givenNames: WordList = {
  known: words(`
    Ada Adam Aisha Alan Alice Amir Amy Ana Andre Anna Arjun Astrid Ben Bianca Boris Bruno Carl Carmen Cecil Chen Clara Cora Dan Daria
    David Dev Diego Dora Edith Elena Eli Ella Emil Emma Eric Esther Eva Fatima Felix Finn Frank Freya George Grace Greta Hana Harry
    Helen Henry Hugo Ida Igor Ines Ingrid Iris Ivan Jack Jane Jin John Jonas Jorge Julia Kai Karen Karl Kate Keiko Lars Laura Lea Leo
    Lina Linda Louis Lucy Luis Maria Mark Marta Mary Max Mei Mia Mila Mohan Nadia Nina Noah Nora Olga Oliver Omar Oscar Otto Paul Pedro
    Peter Petra Priya Rachel Ravi Rita Robert Rosa Ruth Sam Sara Simon Sofia Stella Sven Tara Theo Thomas Tom Uma Vera Victor Wei Wendy
    Yara Yusuf Zoe`),
  reserved: words(`
    Agnes Albert Beatrix Cyrus Delia Dominic Elsa Fiona Gustav Hamid Imogen Jasper Kamal Leila Magnus Miriam Nils Odette Pavel Quentin
    Rowan Selma Tobias Ursula Viktor Winston Xavier Yvonne`),
};

/** Family names. */
export const familyNames: WordList = {
  known: words(`
    Adams Ahmed Allen Baker Banks Becker Bell Berg Bishop Black Bond Boyd Brandt Brown Burke Bush Carter Chan Clark Cole Cook Cooper Costa
    Cruz Dale Davis Diaz Dixon Drake Duarte Dunn Edwards Ellis Evans Fisher Flores Ford Foster Fox Franco Garcia Gibson Gomez Grant Gray
    Green Hall Hansen Harris Hart Hayes Hill Holm Howard Hughes Hunt Ito Jensen Jones Kaya Keller Kelly Khan Kim King Klein Koch Kumar
    Lane Larsen Lee Lewis Lopez Marsh Martin Mason Meyer Mills Moore Moreno Morgan Murphy Nash Nelson Novak Olsen Owens Park Parker Patel
    Perez Perry Porter Price Quinn Ramos Reed Reyes Rice Rossi Ruiz Russell Santos Sato Schmidt Scott Shah Silva Singh Smith Stone Suzuki
    Tanaka Taylor Turner Vargas Vega Wagner Walker Wang Ward Weber West White Wilson Wolf Wood Wright Yang Young`),
  reserved: words(`
    Abbott Barlow Bergman Calder Castillo Dawson Eklund Fernandes Goodwin Halvorsen Ibrahim Jarvis Kowalski Lindgren Mendez Nakamura
    Okafor Petrov Quigley Ramirez Sorensen Thornton Underwood Villanueva Whitfield Yamada Zimmer Ostrander`),
};

/** Cities and towns. */
export const places: WordList = {
  known: words(`
    Aberdeen Accra Amsterdam Athens Austin Bangkok Basel Bath Belfast Bergen Berlin Bern Bologna Bonn Boston Bremen Brighton Bristol
    Bruges Brussels Cadiz Cairo Calgary Cardiff Chester Chicago Cologne Cork Dallas Delhi Denver Derby Dover Dresden Dublin Durham
    Edinburgh Essen Exeter Florence Galway Geneva Genoa Ghent Glasgow Graz Hamburg Hanoi Helsinki Houston Istanbul Jakarta Kiel Kyoto
    Lagos Leeds Leiden Leipzig Lima Lisbon London Lucerne Lyon Madrid Malmo Manila Miami Milan Montreal Munich Nairobi Naples Nice
    Norwich Oslo Ottawa Oxford Padua Paris Perth Porto Prague Quebec Quito Reading Riga Rome Rotterdam Salzburg Seattle Seoul Seville
    Siena Sofia Stockholm Sydney Tallinn Tokyo Toledo Toronto Toulouse Tours Trieste Turin Utrecht Valencia Venice Verona Vienna Vilnius
    Warsaw York Zagreb Zurich`),
  reserved: words(`
    Antwerp Bordeaux Cambridge Dakar Eindhoven Fargo Granada Halifax Innsbruck Jersey Krakow Liverpool Marseille Newcastle Odense
    Portland Roskilde Sheffield Tampere Uppsala Winchester`),
};

/** Which words and full names may be used: those for training, or those for the held-out examples. */
export type Split = "train" | "heldout";

/** Returns true where a full name belongs to the held-out examples and must not occur in training. */
export function isReservedName(name: string): boolean {
  const parts = name.split(" ");
  if (parts.some((word) => givenNames.reserved.includes(word) || familyNames.reserved.includes(word))) return true;
  return parts.length > 1 && hashText(name) % 8 === 0;
}

/**
 * Draws the name of a person: mostly two words, sometimes a given name alone.
 *
 * Every name for the held-out split is reserved, about one in three by having a word that training never uses.
 */
export function drawPerson(random: Random, split: Split): string {
  const alone = random.chance(0.15);
  if (split === "heldout" && alone) return random.pick(givenNames.reserved);
  const reserved = split === "heldout" && random.chance(0.25);
  for (;;) {
    const [useGiven, useFamily] = reserved ? random.pick([[true, false], [false, true], [true, true]]) : [false, false];
    const given = random.pick(useGiven ? givenNames.reserved : givenNames.known);
    if (alone) return given;
    const name = `${given} ${random.pick(useFamily ? familyNames.reserved : familyNames.known)}`;
    if (isReservedName(name) === (split === "heldout")) return name;
  }
}

/** Draws the name of a place; for the held-out split one in four is a place that training never uses. */
export function drawPlace(random: Random, split: Split): string {
  const reserved = split === "heldout" && random.chance(1 / 4);
  return random.pick(reserved ? places.reserved : places.known);
}

const onsets = words(
  "A E I O U B Br C Ch Cl D Dr F Fl G Gl Gr H J K Kl Kr L M N P Pr Qu R S Sh Sk Sl St T Th Tr V W X Y Z",
);
const vowels = words("a e i o u a e i o a e i o ai au ea ee ei ie oo ou y");
const consonants = words("b c d f g h k l m n p r s t v w x z");
const endings = words("b d f k l m n r s t v w x y ld ll ng nk rd rk rt sk ss st th");

/**
 * Draws a word that looks like a name and means nothing, such as "Stoush" or "Traldemo", so that a model cannot know it and must copy it.
 *
 * A short word has one syllable or two; a long one has up to four, with consonants side by side that English does not have.
 */
export function inventWord(random: Random, length: "short" | "long"): string {
  for (;;) {
    let word = random.pick(onsets);
    for (let left = length === "short" ? random.below(2) : random.pick([1, 2, 2, 3]); left > 0; left--) {
      word += random.pick(vowels) + random.pick(consonants);
      if (length === "long" && random.chance(0.35)) word += random.pick(consonants);
    }
    if (length === "short" || random.chance(0.35)) word += random.pick(vowels);
    if (length === "short" && random.chance(0.7)) word += random.pick(endings);
    if (![givenNames, familyNames, places].some((list) => list.reserved.includes(word))) return word;
  }
}

/** Splits a text at its spaces. */
function words(text: string): string[] {
  return text.trim().split(/\s+/);
}
