// What can be chosen, how a link says it, and the questions to begin with.

import { DATA } from "./data.js";

const titles = (table) => Object.entries(table).map(([value, { title }]) => [value, title]);
const same = (...values) => values.map((value) => [value, String(value)]);
const RATES = same(0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01);

// Each choice: its title, its values and what they are called, the first being the usual one unless
// `usual` says otherwise. Two settings side by side share what is `shared`.
export const FIELDS = {
  data: { title: "Points to learn", options: titles(DATA), shared: true },
  loss: { title: "Loss", options: [
    ["bce", "cross-entropy"], ["saturating", "cross-entropy, saturating"],
    ["mse", "squared error of the probability"], ["least-squares", "least squares of the score"],
    ["clip", "Wasserstein, weights clipped"], ["penalty", "Wasserstein, gradient penalty"]] },
  norm: { title: "Batch norm in G", options: [[0, "none"], [1e-5, "eps 1e-5"], [0.8, "eps 0.8"]] },
  width: { title: "Units a layer", options: same(32, 64) },
  stepsD: { title: "D steps a G step", options: same(1, 2, 3, 5) },
  rateD: { title: "D’s learning rate", options: RATES, usual: 0.001 },
  rateG: { title: "G’s learning rate", options: RATES, usual: 0.001 },
  pack: { title: "Packing", options: [[1, "none"], [2, "2 points"], [4, "4 points"]] },
  label: { title: "Label: both are told the mode", toggle: true },
  discrimination: { title: "Minibatch discrimination", toggle: true },
  average: { title: "Average of G’s weights", toggle: true },
};
const TOGGLE = [[false, "no"], [true, "yes"]];
const optionsOf = (key) => FIELDS[key].options ?? TOGGLE;
const usual = (key) => FIELDS[key].usual ?? optionsOf(key)[0][0];

export const DEFAULTS = Object.fromEntries(Object.keys(FIELDS).map((key) => [key, usual(key)]));

// Speeds, in iterations a second.
export const SPEEDS = [2, 10, 50, 200, 1000, Infinity];

// Why a choice is closed beside the others, or "".
export function closed(key, settings) {
  if (key === "label" && settings.data === "drawn") return "drawn points have no labels";
  if (key === "discrimination" && settings.loss === "penalty") {
    return "the penalty looks at one point’s gradient, and here a point’s score depends on its batch";
  }
  return "";
}

// What is to be trained: what is closed is off.
export function cleared(settings) {
  const open = Object.entries(settings).map(([key, value]) =>
    [key, FIELDS[key]?.toggle && closed(key, settings) ? false : value]);
  return Object.fromEntries(open);
}

// --- The link: only what is not as usual ---------------------------------------------------------

// { seed, points, compare, speed, sides: [A, B] }, from text such as "rateG=0.005&b.pack=2". What makes
// no sense is left out.
export function parse(text) {
  const given = new URLSearchParams(text), state = fresh();
  const seed = Number(given.get("seed") ?? 1);
  if (Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32) state.seed = seed;
  const speed = Number(given.get("speed") ?? SPEEDS.length - 1);
  if (speed in SPEEDS) state.speed = speed;
  state.points = decode(given.get("points") ?? "");
  state.sides.forEach((side, i) => {
    for (const key of Object.keys(FIELDS)) {
      const text = given.get((i && !FIELDS[key].shared ? "b." : "") + key);
      const found = optionsOf(key).find(([value]) => String(value) === text);
      if (found) side[key] = found[0];
    }
  });
  state.compare = given.has("compare");
  return state;
}
export const fresh = () =>
  ({ seed: 1, points: [], compare: false, speed: SPEEDS.length - 1, sides: [{ ...DEFAULTS }, { ...DEFAULTS }] });

export function format({ seed, points, compare, speed, sides }) {
  const parts = [];
  if (seed !== 1) parts.push(["seed", seed]);
  if (speed !== SPEEDS.length - 1) parts.push(["speed", speed]);
  if (compare) parts.push(["compare", ""]);
  sides.slice(0, compare ? 2 : 1).forEach((side, i) => {
    for (const key of Object.keys(FIELDS)) {
      if (i && FIELDS[key].shared) continue;
      if (side[key] !== DEFAULTS[key]) parts.push([(i ? "b." : "") + key, side[key]]);
    }
  });
  if (sides[0].data === "drawn") parts.push(["points", encode(points)]);
  return new URLSearchParams(parts).toString();
}

// Drawn points as text: each coordinate, -REACH to REACH, as one of 4096 steps in two letters.
export const REACH = 1.5, MOST_POINTS = 200;
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
function encode(points) {
  return points.flat().map((x) => {
    const step = Math.round((x / REACH + 1) * 2047);
    return LETTERS[step >> 6] + LETTERS[step & 63];
  }).join("");
}
function decode(text) {
  const steps = (text.match(/[\w-]{2}/g) ?? []).map(([a, b]) => 64 * LETTERS.indexOf(a) + LETTERS.indexOf(b));
  const all = steps.map((step) => (step / 2047 - 1) * REACH);
  return Array.from({ length: Math.min(all.length >> 1, MOST_POINTS) }, (_, i) => [all[2 * i], all[2 * i + 1]]);
}

export const rounded = (point) => decode(encode([point]))[0];  // as a link will give it back

// --- Questions -----------------------------------------------------------------------------------

// `link` as in the fragment; tests/test_lab.py checks that training shows what is asked about.
export const PRESETS = [
  { title: "A fair match", link: "",
    ask: "Eight modes, and nobody tells G where they are. In which order does it find them? Once all are found, what has become of D’s orange field, and of the arrows?" },
  { title: "Round the ring", link: "rateG=0.005&speed=3",
    ask: "Now G learns five times as fast as D. It puts all its points into one place, and soon leaves it again. Why does it run round the ring? Pause, press Step D a few times, and see which way the arrows turn." },
  { title: "A faster D", link: "rateG=0.005&compare=&b.rateG=0.005&b.stepsD=5",
    ask: "The same hurried G twice; on the right D takes five steps for each of G’s. What does the runner on the left lack that the right one has?" },
  { title: "Packing", link: "rateG=0.005&compare=&b.rateG=0.005&b.pack=2",
    ask: "On the right D judges two points at a time, both real or both generated (PacGAN). Two copies of one point give G away. How many modes does each side hold?" },
  { title: "Seeing the batch", link: "rateG=0.005&compare=&b.rateG=0.005&b.discrimination=true",
    ask: "On the right D is told how close each point lies to the others of its batch (minibatch discrimination). Which of the two remedies, this or packing, holds more of the points near a mode?" },
  { title: "Told the label", link: "data=grid&compare=&b.label=true",
    ask: "Twenty-five modes are hard to find. On the right both players are told which mode is asked for, as the book’s CGAN is told the digit. What is left for G to learn?" },
  { title: "eps 0.8", link: "rateG=0.0002&rateD=0.0002&norm=0.00001&compare=&b.rateG=0.0002&b.rateD=0.0002&b.norm=0.8",
    ask: "Batch normalisation in G, with eps 1e-5 on the left and 0.8 on the right. Which side spreads over the ring first? Does the other one get there?" },
  { title: "An average", link: "rateG=0.005&compare=&b.rateG=0.005&b.average=true",
    ask: "On the right you see the average of G’s weights over time. It smooths what wavers. Can it mend what runs round the ring?" },
  { title: "Your own points", link: "data=drawn",
    ask: "Draw on the square with finger, pen or mouse, or with the arrow keys and Space, and press Play. Which shapes does G learn well? Where does it leave threads between them, and why?" },
];
