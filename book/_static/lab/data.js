// Random numbers that a seed repeats, and the points that a GAN is to learn.

// mulberry32: numbers evenly spread over (0, 1), from a state of 32 bits. `stream` keeps the weights'
// start, the real points and z apart: two trainings with one seed see the same whatever else differs.
export function randomNumbers(seed, stream = 0) {
  let state = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(stream + 1, 0x85ebca6b)) >>> 0, kept = null;
  function even() {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296 + 2 ** -33;
  }
  function normal() {  // Box and Muller's: two at a time
    if (kept !== null) {
      const value = kept;
      kept = null;
      return value;
    }
    const length = Math.sqrt(-2 * Math.log(even())), angle = 2 * Math.PI * even();
    kept = length * Math.sin(angle);
    return length * Math.cos(angle);
  }
  return { even, normal, below: (n) => Math.floor(n * even()) };
}

// A data set: modes, each a normal of standard deviation sigma around its centre.
const circle = (n, radius) => Array.from({ length: n }, (_, i) =>
  [radius * Math.cos((2 * Math.PI * i) / n), radius * Math.sin((2 * Math.PI * i) / n)]);
const square = (n, gap) => Array.from({ length: n * n }, (_, i) =>
  [gap * (i % n - (n - 1) / 2), gap * (Math.floor(i / n) - (n - 1) / 2)]);

export const DATA = {
  ring: { title: "a ring of 8", centres: circle(8, 1), sigma: 0.05 },
  grid: { title: "a grid of 25", centres: square(5, 0.5), sigma: 0.03 },
  clusters: { title: "two clusters", centres: [[-0.75, 0], [0.75, 0]], sigma: 0.12 },
  drawn: { title: "points you draw", centres: null, sigma: 0.04 },
};

// The data set of the settings, with the reader's own points where they are to be learnt.
export function dataSet({ data, points }) {
  const { centres, sigma } = DATA[data];
  return { centres: centres ?? (points.length ? points : [[0, 0]]), sigma, drawn: !centres };
}

// n points (n * 2 numbers) and the number of the centre that each belongs to.
export function draw({ centres, sigma }, n, random) {
  const points = new Float32Array(2 * n), labels = new Uint16Array(n);
  for (let i = 0; i < n; i++) {
    const label = random.below(centres.length);
    labels[i] = label;
    points[2 * i] = centres[label][0] + sigma * random.normal();
    points[2 * i + 1] = centres[label][1] + sigma * random.normal();
  }
  return { points, labels };
}

// Which centre is nearest to (x, y), and its distance squared.
export function nearest({ centres }, x, y) {
  let which = 0, least = Infinity;
  for (let k = 0; k < centres.length; k++) {
    const far = (x - centres[k][0]) ** 2 + (y - centres[k][1]) ** 2;
    if (far < least) [which, least] = [k, far];
  }
  return [which, least];
}

// What generated points are worth. Good: within 3 sigma of a centre. Found: a centre with at least
// one point in a hundred that near to it (of the reader's own, which may be many: one point).
export const FOUND = 0.01;
export function measure({ centres, sigma, drawn }, points) {
  const n = points.length / 2, least = drawn ? 1 : FOUND * n, near = new Uint32Array(centres.length);
  let good = 0;
  for (let i = 0; i < n; i++) {
    const [which, far] = nearest({ centres }, points[2 * i], points[2 * i + 1]);
    if (far <= 9 * sigma * sigma) {
      good++;
      near[which]++;
    }
  }
  return { good: good / n, modes: near.reduce((found, count) => found + (count >= least), 0) };
}
