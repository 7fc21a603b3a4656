/** Images of colored shapes: what is in them, and what there is to say about them. */
import { type Box, formatDetections } from "@tessera/vision";
import type { Random } from "@tessera/tiny";

/** The kinds of shape. */
export const kinds = ["circle", "square", "triangle"] as const;

/** A kind of shape. */
export type Kind = typeof kinds[number];

/** Colors by name, as red, green and blue. */
export const colors = {
  red: [220, 40, 40],
  green: [40, 170, 70],
  blue: [40, 80, 220],
  yellow: [240, 210, 40],
  purple: [140, 50, 170],
  orange: [245, 140, 30],
  cyan: [50, 200, 220],
} as const satisfies Readonly<Record<string, readonly [number, number, number]>>;

/** The name of a color. */
export type Color = keyof typeof colors;

/** The colors that pretraining shows, and those that only fine-tuning does. */
export const palettes = {
  pretraining: ["red", "green", "blue", "yellow"],
  finetuning: ["purple", "orange", "cyan"],
} as const satisfies Readonly<Record<string, readonly Color[]>>;

/** A shape in an image. */
export interface Shape {
  /** What it is. */
  readonly kind: Kind;
  /** Its color. */
  readonly color: Color;
  /** The square that it fills, in pixels. */
  readonly box: Box;
}

/** An image of one or two shapes. */
export interface Scene {
  /** The shade of gray behind them, from 0 to 255. */
  readonly ground: number;
  /** The shapes, which do not overlap and differ in kind or color. */
  readonly shapes: readonly Shape[];
}

/** The side of an image, in pixels. */
export const side = 64;
/** Shapes lie on a grid of this many pixels. */
const grid = 4;

/** Draws a scene with colors of a palette. */
export function drawScene(random: Random, palette: readonly Color[]): Scene {
  const count = random.chance(0.35) ? 1 : 2;
  const shapes: Shape[] = [];
  while (shapes.length < count) {
    const size = grid * (4 + random.below(4));
    const left = grid * random.below((side - size) / grid + 1);
    const top = grid * random.below((side - size) / grid + 1);
    const shape: Shape = {
      kind: random.pick(kinds),
      color: random.pick(palette),
      box: { left, top, right: left + size, bottom: top + size },
    };
    if (shapes.every((other) => isApart(shape, other))) shapes.push(shape);
  }
  return { ground: 200 + random.below(56), shapes };
}

function isApart(a: Shape, b: Shape): boolean {
  const { box: p } = a;
  const { box: q } = b;
  const disjoint = p.right <= q.left || q.right <= p.left || p.bottom <= q.top || q.bottom <= p.top;
  return disjoint && nameOf(a) !== nameOf(b);
}

/** A shape in words, such as `red circle`. */
export function nameOf({ color, kind }: Shape): string {
  return `${color} ${kind}`;
}

function withArticle(name: string): string {
  return `${/^[aeiou]/.test(name) ? "an" : "a"} ${name}`;
}

/** How one shape lies to another, by the longer of the two distances between their middles. */
function relation({ box: a }: Shape, { box: b }: Shape): string {
  const across = a.left + a.right - b.left - b.right;
  const down = a.top + a.bottom - b.top - b.bottom;
  if (Math.abs(across) >= Math.abs(down)) return across < 0 ? "left of" : "right of";
  return down < 0 ? "above" : "below";
}

/** The shapes in the order in which they are spoken of: from the left, then from above. */
function inOrder({ shapes }: Scene): readonly Shape[] {
  return [...shapes].sort(({ box: a }, { box: b }) => a.left - b.left || a.top - b.top);
}

/** A prompt and the right response. */
export interface Task {
  /** What is asked, in the way of PaliGemma. */
  readonly prompt: string;
  /** The right answer. */
  readonly response: string;
}

function caption(scene: Scene): Task {
  const [first, second] = inOrder(scene);
  const response = second === undefined
    ? withArticle(nameOf(first!))
    : `${withArticle(nameOf(first!))} ${relation(first!, second)} ${withArticle(nameOf(second))}`;
  return { prompt: "caption en", response };
}

function question(scene: Scene, random: Random): Task {
  const shape = random.pick(scene.shapes);
  const choices: Task[] = [
    { prompt: "answer en how many shapes are there?", response: String(scene.shapes.length) },
  ];
  const alone = (same: (other: Shape) => boolean) => scene.shapes.filter(same).length === 1;
  if (alone(({ kind }) => kind === shape.kind)) {
    choices.push({ prompt: `answer en what colour is the ${shape.kind}?`, response: shape.color });
  }
  if (alone(({ color }) => color === shape.color)) {
    choices.push({ prompt: `answer en what is ${shape.color}?`, response: shape.kind });
  }
  return random.pick(choices);
}

function detection(scene: Scene, random: Random): Task {
  const shape = random.pick(scene.shapes);
  const name = nameOf(shape);
  const size = { width: side, height: side };
  return { prompt: `detect ${name}`, response: formatDetections([{ label: name, box: shape.box }], size) };
}

const tasks: readonly ((scene: Scene, random: Random) => Task)[] = [caption, question, detection];

/** One task of each kind about a scene: a caption, a question, a detection. */
export function tasksOf(scene: Scene, random: Random): Task[] {
  return tasks.map((task) => task(scene, random));
}
