// What can be chosen, and how a link says it.

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
