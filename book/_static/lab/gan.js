// A GAN on points in the plane: two networks of two hidden layers, a loss, and Adam, as in PyTorch.

import { best } from "./kernels.js";
import { makeTape } from "./tape.js";
import { dataSet, draw, measure, nearest, randomNumbers } from "./data.js";

export const BATCH = 64;  // points in a batch, real or generated
export const LATENT = 2;  // numbers in z
export const SHOWN = 1024;  // points that are drawn and measured
const SLOPE = 0.2, B1 = 0.5, B2 = 0.999, TINY = 1e-8, MOMENTUM = 0.1, DECAY = 0.999;
const KINDS = 4, SIZE = 3;  // of minibatch discrimination
export const CLIP = 0.1, PENALTY = 1;

// --- Losses of the raw score s: each gives [value, slope] for one s -------------------------------

const sigmoid = (s) => 1 / (1 + Math.exp(-s));
const softplus = (s) => Math.max(s, 0) + Math.log1p(Math.exp(-Math.abs(s)));
const crossEntropy = {
  real: (s) => [softplus(-s), -sigmoid(-s)],
  fake: (s) => [softplus(s), sigmoid(s)],
  generator: (s) => [softplus(-s), -sigmoid(-s)],
  shown: sigmoid,
};
const squared = (target) => (s) => {
  const p = sigmoid(s);
  return [(p - target) ** 2, 2 * (p - target) * p * (1 - p)];
};
const leastSquares = (target) => (s) => [(s - target) ** 2, 2 * (s - target)];
const wasserstein = { real: (s) => [-s, -1], fake: (s) => [s, 1], generator: (s) => [-s, -1], shown: null };

// D's loss is (real + fake) / 2, or their plain sum for Wasserstein's. `shown` makes of a score what
// the field's colour shows, from 0 (generated) to 1 (real).
export const LOSSES = {
  bce: crossEntropy,
  saturating: { ...crossEntropy, generator: (s) => [-softplus(s), -sigmoid(s)] },
  mse: { real: squared(1), fake: squared(0), generator: squared(1), shown: sigmoid },
  "least-squares": {
    real: leastSquares(1), fake: leastSquares(0), generator: leastSquares(1),
    shown: (s) => Math.min(Math.max(s, 0), 1),
  },
  clip: wasserstein,
  penalty: wasserstein,
};

export function makeGan(settings, kernels = best()) {
  const t = makeTape(kernels), { heap } = t;
  const data = dataSet(settings), { width, pack, seed } = settings, loss = LOSSES[settings.loss];
  const kinds = settings.label ? data.centres.length : 0;
  const half = loss === wasserstein ? 1 : 0.5;
  const [start, real, noise, looks] = [0, 1, 2, 3].map((stream) => randomNumbers(seed, stream));
  let iteration = 0;

  // --- Networks: parameters in one block each, with Adam's two moments behind them ---

  function player(layers, rate) {
    const first = t.mark(), parameters = {};
    for (const [name, rows, cols, fill] of layers) {
      const made = (parameters[name] = t.tensor(rows, cols));
      made.needs = true;
      t.numbers(made).forEach((_, i, all) => { all[i] = fill(); });
    }
    const size = t.mark() - first;
    t.filled(2, size);
    return { parameters, all: Object.values(parameters), first, size, rate, steps: 0 };
  }
  // As torch.nn.Linear starts: even between -1 and 1, over the square root of the inputs' number.
  const dense = (name, from, to) => {
    const fill = () => (2 * start.even() - 1) / Math.sqrt(from);
    return [[`${name}.w`, from, to, fill], [`${name}.b`, 1, to, fill]];
  };
  const gInputs = LATENT + kinds, dInputs = pack * (2 + kinds);
  const extra = settings.discrimination ? KINDS : 0;
  const G = player([
    ...dense("1", gInputs, width), ...dense("2", width, width).slice(0, settings.norm ? 1 : 2),
    ...(settings.norm ? [["gain", 1, width, () => 1], ["shift", 1, width, () => 0]] : []),
    ...dense("3", width, 2),
  ], settings.rateG);
  const D = player([
    ...dense("1", dInputs, width), ...dense("2", width, width),
    ...(extra ? [["near", width, KINDS * SIZE, () => start.normal() / Math.sqrt(width)]] : []),
    ...dense("3", width + extra, 1),
  ], settings.rateD);
  const running = { mean: t.filled(1, width), variance: t.filled(1, width, 1) };
  // The average of G's weights and running statistics, in the same order.
  const averaged = Object.fromEntries(Object.entries(G.parameters).map(([name, p]) =>
    [name, t.from(p.rows, p.cols, t.numbers(p))]));
  const averagedRunning = { mean: t.filled(1, width), variance: t.filled(1, width, 1) };
  const floor = t.mark();

  // In training with the batch's statistics; to look at, with the running ones.
  function generate(z, labels, p = G.parameters, stats = null) {
    let x = labels ? t.concat(z, labels) : z;
    x = t.leaky(t.linear(x, p["1.w"], p["1.b"]), SLOPE);
    x = settings.norm ? t.matmul(x, p["2.w"]) : t.linear(x, p["2.w"], p["2.b"]);  // the shift is bias enough
    if (settings.norm) x = stats ? fixed(x, p, stats) : t.normalise(x, p.gain, p.shift, settings.norm, follow);
    return t.linear(t.leaky(x, SLOPE), p["3.w"], p["3.b"]);
  }
  function follow(j, mean, variance) {
    heap[running.mean.at + j] += MOMENTUM * (mean - heap[running.mean.at + j]);
    heap[running.variance.at + j] += MOMENTUM * (variance - heap[running.variance.at + j]);
  }
  function fixed(x, { gain, shift }, { mean, variance }) {
    for (let j = 0; j < x.cols; j++) {
      const by = heap[gain.at + j] / Math.sqrt(heap[variance.at + j] + settings.norm);
      const to = heap[shift.at + j] - heap[mean.at + j] * by;
      for (let i = x.at + j; i < x.at + x.rows * x.cols; i += x.cols) heap[i] = heap[i] * by + to;
    }
    return x;
  }

  // `pack` points in a row, then their labels; the scores of such packs.
  function packed(x, labels) {
    const rows = pack > 1 ? t.reshape(x, 2 * pack) : x;
    return labels ? t.concat(rows, pack > 1 ? t.reshape(labels, kinds * pack) : labels) : rows;
  }
  function judge(x, labels, others) {
    const p = D.parameters, h = features(packed(x, labels));
    if (!extra) return t.linear(h, p["3.w"], p["3.b"]);
    const near = t.closeness(t.matmul(h, p.near), SIZE, others);
    return t.linear(t.concat(h, near), p["3.w"], p["3.b"]);
  }
  function features(packs) {
    const p = D.parameters;
    const h = t.leaky(t.linear(packs, p["1.w"], p["1.b"]), SLOPE);
    return t.leaky(t.linear(h, p["2.w"], p["2.b"]), SLOPE);
  }

  function adam(player, gradients) {
    const step = ++player.steps, rate = player.rate / (1 - B1 ** step);
    const correct = 1 / Math.sqrt(1 - B2 ** step), { size } = player;
    player.all.forEach((p, k) => {
      const g = gradients[k].at;
      for (let i = 0, n = p.rows * p.cols; i < n; i++) {
        const at = p.at + i, slope = heap[g + i];
        const m = (heap[at + size] = B1 * heap[at + size] + (1 - B1) * slope);
        const v = (heap[at + 2 * size] = B2 * heap[at + 2 * size] + (1 - B2) * slope * slope);
        heap[at] -= (rate * m) / (Math.sqrt(v) * correct + TINY);
      }
    });
  }

  // --- Batches ---

  const oneHot = (labels) => {
    if (!kinds) return null;
    const made = t.filled(labels.length, kinds);
    labels.forEach((label, i) => { heap[made.at + i * kinds + label] = 1; });
    return made;
  };
  const normals = (n, random) => Float32Array.from({ length: n * LATENT }, () => random.normal());
  const anyLabels = (n, random) =>
    Uint16Array.from({ length: n }, () => (kinds ? random.below(kinds) : 0));
  const batchForG = (n = BATCH, random = noise) => ({ z: normals(n, random), asked: anyLabels(n, random) });
  function batchForD() {
    const { points, labels } = draw(data, BATCH, real);
    const mix = Float32Array.from({ length: BATCH / pack }, () => (settings.loss === "penalty" ? real.even() : 0));
    return { ...batchForG(), points, labels, mix };
  }

  // --- Steps: each can be given its batch, and leaves the other player's weights as they are ---

  const last = { d: NaN, g: NaN };

  // D's loss and its gradients, before the step. Their memory is the caller's to release.
  function gradientsOfD({ z, asked, points, labels, mix }) {
    const fakeLabels = oneHot(asked), realLabels = oneHot(labels);
    const fake = t.quietly(() => generate(t.from(asked.length, LATENT, z), fakeLabels));
    const truth = t.from(labels.length, 2, points);
    const losses = [t.mean(judge(truth, realLabels), loss.real), t.mean(judge(fake, fakeLabels), loss.fake)];
    const seeds = [t.filled(1, 1, half), t.filled(1, 1, half)];
    let value = half * (heap[losses[0].at] + heap[losses[1].at]);
    if (settings.loss === "penalty") {  // where between real and generated D's gradient is looked at
      const between = t.tensor(labels.length, 2);
      for (let i = 0; i < 2 * labels.length; i++) {
        const part = mix[Math.floor(i / 2 / pack)];
        heap[between.at + i] = part * heap[truth.at + i] + (1 - part) * heap[fake.at + i];
      }
      between.needs = true;
      const [slope] = t.gradients([judge(between, realLabels)], [between], { again: true });
      const penalty = t.penalty(pack > 1 ? t.reshape(slope, 2 * pack) : slope, PENALTY);
      losses.push(penalty);
      value += heap[penalty.at];
    }
    return { value, gradients: t.gradients(losses, D.all, { seeds }) };
  }
  function gradientsOfG({ z, asked }) {
    const labels = oneHot(asked);
    const lost = t.mean(judge(generate(t.from(asked.length, LATENT, z), labels), labels), loss.generator);
    return { value: heap[lost.at], gradients: t.gradients([lost], G.all) };
  }
  function stepD(batch = batchForD()) {
    const { value, gradients } = gradientsOfD(batch);
    adam(D, gradients);
    if (settings.loss === "clip") {
      for (const p of D.all) {
        for (let i = p.at; i < p.at + p.rows * p.cols; i++) heap[i] = Math.min(Math.max(heap[i], -CLIP), CLIP);
      }
    }
    t.release(floor);
    return (last.d = value);
  }
  function stepG(batch = batchForG()) {
    const { value, gradients } = gradientsOfG(batch);
    adam(G, gradients);
    t.release(floor);
    iteration++;
    if (settings.average) average();
    return (last.g = value);
  }
  function average() {
    const by = 1 - Math.min(DECAY, iteration / (iteration + 10));
    const pairs = Object.keys(averaged).map((name) => [averaged[name], G.parameters[name]]);
    for (const [kept, latest] of [...pairs, ...["mean", "variance"].map((k) => [averagedRunning[k], running[k]])]) {
      for (let i = 0; i < kept.rows * kept.cols; i++) heap[kept.at + i] += by * (heap[latest.at + i] - heap[kept.at + i]);
    }
  }
  function train() {
    for (let i = 0; i < settings.stepsD; i++) stepD();
    stepG();
  }

  // --- To look at ---

  const fixedBatch = batchForG(SHOWN, looks);
  const artist = () => (settings.average ? [averaged, averagedRunning] : [G.parameters, running]);

  function sample() {
    return t.quietly(() => {
      const made = generate(t.from(SHOWN, LATENT, fixedBatch.z), oneHot(fixedBatch.asked), ...artist());
      const points = Float32Array.from(t.numbers(made));
      t.release(floor);
      return points;
    });
  }

  // Which way the loss pulls generated points, and how hard: minus each point's gradient, for the
  // first BATCH of those shown, as if each were alone in the mean.
  function pulls(points) {
    const x = t.from(BATCH, 2, points.subarray(0, 2 * BATCH));
    x.needs = true;
    const lost = t.mean(judge(x, oneHot(fixedBatch.asked.subarray(0, BATCH))), loss.generator);
    const [slope] = t.gradients([lost], [x]);
    const made = Float32Array.from(t.numbers(slope), (value) => (-value * BATCH) / pack);
    t.release(floor);
    return made;
  }

  // What D says on a lattice of side * side points that reaches `reach` each way, top row first: 0 to
  // 1. Beside each point D sees generated ones, in packs the mean of a few such; it is told the label of
  // the mode nearest by.
  function field(side, reach, points) {
    return t.quietly(() => {
      const scores = new Float64Array(side * side), n = side * side / 4, companies = pack > 1 ? 4 : 1;
      for (let from = 0; from < side * side; from += n) {
        for (let company = 0; company < companies; company++) {
          const lattice = t.tensor(n * pack, 2), labels = new Uint16Array(n * pack);
          for (let i = 0; i < n; i++) {
            const at = lattice.at + 2 * i * pack, column = (from + i) % side, row = Math.floor((from + i) / side);
            heap[at] = ((2 * column + 1) / side - 1) * reach;
            heap[at + 1] = (1 - (2 * row + 1) / side) * reach;
            if (kinds) labels[i * pack] = nearest(data, heap[at], heap[at + 1])[0];
            for (let k = 1; k < pack; k++) {
              const other = pack * company + k;
              labels[i * pack + k] = fixedBatch.asked[other];
              heap[at + 2 * k] = points[2 * other];
              heap[at + 2 * k + 1] = points[2 * other + 1];
            }
          }
          const others = extra ? t.matmul(features(packed(t.from(BATCH, 2, points.subarray(0, 2 * BATCH)),
            oneHot(fixedBatch.asked.subarray(0, BATCH)))), D.parameters.near) : null;
          t.numbers(judge(lattice, oneHot(labels), others)).forEach((s, i) => { scores[from + i] += s / companies; });
          t.release(floor);
        }
      }
      if (loss.shown) return Float32Array.from(scores, loss.shown);
      let [low, high] = [Infinity, -Infinity];  // Wasserstein's has no zero and no unit of its own
      for (const s of scores) [low, high] = [Math.min(low, s), Math.max(high, s)];
      return Float32Array.from(scores, (s) => (s - low) / (high - low || 1));
    });
  }

  return {
    settings, data, teach: (points) => Object.assign(data, dataSet({ ...settings, points })), stepD, stepG, train, sample, pulls, field, batchForD, batchForG,
    measure: (points) => measure(data, points),
    losses: last,
    get iteration() { return iteration; },
    // For checks: weights and statistics by name, to read and to write; gradients as plain arrays.
    weights: () => Object.fromEntries([["G", G], ["D", D]].flatMap(([who, { parameters }]) =>
      Object.entries(parameters).map(([name, p]) => [`${who}.${name}`, t.numbers(p)]))
      .concat([["mean", t.numbers(running.mean)], ["variance", t.numbers(running.variance)]])),
    averages: () => ({ ...Object.fromEntries(Object.entries(averaged).map(([k, p]) => [k, t.numbers(p)])),
      mean: t.numbers(averagedRunning.mean), variance: t.numbers(averagedRunning.variance) }),
    gradients(who, batch) {
      const { value, gradients } = who === "D" ? gradientsOfD(batch) : gradientsOfG(batch);
      const names = Object.keys((who === "D" ? D : G).parameters);
      const said = names.map((name, i) => [`${who}.${name}`, Array.from(t.numbers(gradients[i]))]);
      t.release(floor);
      return { value, gradients: Object.fromEntries(said) };
    },
  };
}
