// Tensors with gradients: a tape in reverse, on one heap of numbers (kernels.js).
//
// A tensor is a matrix: { at, rows, cols }, its numbers lying row by row from `at`. Every operation
// writes a new one at the heap's top, and remembers how to send a gradient back. How it sends it back
// is made of operations too, so the gradient of a gradient is to be had where each of them says how:
// linear, leaky, concat and slice do, which is what a penalty on D's gradient needs. The rest are
// fused for speed, and refuse. After a step, release() gives all memory above the mark back.

export function makeTape({ heap: H, product }) {
  let top = 0, recording = true, pass = 0;
  const nodes = [];  // what has been recorded, in order

  // --- Memory ---

  function tensor(rows, cols) {
    const made = { at: top, rows, cols, needs: false, back: null, from: null, grad: null, pass: 0, way: 0 };
    top += (rows * cols + 3) & ~3;
    if (top > H.length) throw new RangeError("the laboratory's memory is full");
    return made;
  }
  const numbers = (t) => H.subarray(t.at, t.at + t.rows * t.cols);
  function filled(rows, cols, value = 0) {
    const made = tensor(rows, cols);
    H.fill(value, made.at, made.at + rows * cols);
    return made;
  }
  function from(rows, cols, values) {
    const made = tensor(rows, cols);
    H.set(values, made.at);
    return made;
  }
  function release(mark) {
    top = mark;
    nodes.length = 0;
  }

  // `back(gradient, i)`: the gradient of input i, from that of the output.
  function record(made, inputs, back) {
    if (recording && inputs.some((input) => input.needs)) {
      made.needs = true;
      made.from = inputs;
      made.back = back;
      nodes.push(made);
    }
    return made;
  }

  // --- Operations that can be differentiated twice ---

  // a b, either of them transposed if asked for.
  function matmul(a, b, aTurned = false, bTurned = false) {
    const [m, k] = aTurned ? [a.cols, a.rows] : [a.rows, a.cols];
    const n = bTurned ? b.rows : b.cols;
    const made = filled(m, n);
    const right = bTurned ? turned(b) : b.at;
    product(a.at, aTurned ? 1 : a.cols, aTurned ? a.cols : 1, right, made.at, m, k, n);
    return record(made, [a, b], (g, i) => {
      if (i === 0) return aTurned ? matmul(b, g, bTurned, true) : matmul(g, b, false, !bTurned);
      return bTurned ? matmul(g, a, true, aTurned) : matmul(a, g, !aTurned, false);
    });
  }
  function turned({ at, rows, cols }) {  // a copy, lying column by column
    const copy = top;
    top += (rows * cols + 3) & ~3;
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < cols; j++) H[copy + j * rows + i] = H[at + i * cols + j];
    }
    return copy;
  }

  // x w + b, b in every row.
  function linear(x, w, b) {
    const made = tensor(x.rows, w.cols);
    for (let i = 0; i < x.rows; i++) H.copyWithin(made.at + i * w.cols, b.at, b.at + w.cols);
    product(x.at, x.cols, 1, w.at, made.at, x.rows, x.cols, w.cols);
    return record(made, [x, w, b], (g, i) =>
      i === 0 ? matmul(g, w, false, true) : i === 1 ? matmul(x, g, true) : columnSums(g));
  }
  function columnSums(x) {
    const made = filled(1, x.cols);
    for (let i = 0, k = x.at; i < x.rows; i++) {
      for (let j = 0; j < x.cols; j++) H[made.at + j] += H[k++];
    }
    return record(made, [x], (g) => {
      const spread = tensor(x.rows, x.cols);
      for (let i = 0; i < x.rows; i++) H.copyWithin(spread.at + i * x.cols, g.at, g.at + x.cols);
      return record(spread, [g], (gg) => columnSums(gg));
    });
  }

  // g where x is above 0, g * slope elsewhere. With g = x this is LeakyReLU; else its gradient, which
  // does not depend on how large x is.
  function bend(g, x, slope) {
    const made = tensor(x.rows, x.cols);
    for (let i = 0, n = x.rows * x.cols, to = made.at, by = x.at, of = g.at; i < n; i++) {
      const value = H[of + i];
      H[to + i] = H[by + i] > 0 ? value : slope * value;
    }
    return record(made, [g], (gg) => bend(gg, x, slope));
  }
  const leaky = (x, slope) => bend(x, x, slope);

  // Columns side by side; columns start to end.
  function concat(a, b) {
    const cols = a.cols + b.cols, made = tensor(a.rows, cols);
    for (let i = 0; i < a.rows; i++) {
      H.copyWithin(made.at + i * cols, a.at + i * a.cols, a.at + (i + 1) * a.cols);
      H.copyWithin(made.at + i * cols + a.cols, b.at + i * b.cols, b.at + (i + 1) * b.cols);
    }
    return record(made, [a, b], (g, i) => (i === 0 ? slice(g, 0, a.cols) : slice(g, a.cols, cols)));
  }
  function slice(x, start, end) {
    const cols = end - start, made = tensor(x.rows, cols);
    for (let i = 0; i < x.rows; i++) {
      H.copyWithin(made.at + i * cols, x.at + i * x.cols + start, x.at + i * x.cols + end);
    }
    return record(made, [x], (g) => {
      let wide = g;
      if (end < x.cols) wide = concat(wide, filled(x.rows, x.cols - end));
      if (start > 0) wide = concat(filled(x.rows, start), wide);
      return wide;
    });
  }
  // The same numbers in rows of another length.
  function reshape(x, cols) {
    const made = { ...x, rows: (x.rows * x.cols) / cols, cols, needs: false, back: null, from: null, pass: 0, way: 0 };
    return record(made, [x], (g) => reshape(g, x.cols));
  }
  function sum(a, b) {
    const made = tensor(a.rows, a.cols);
    for (let i = 0, n = a.rows * a.cols; i < n; i++) H[made.at + i] = H[a.at + i] + H[b.at + i];
    return record(made, [a, b], (g) => g);
  }

  // --- Operations that can be differentiated once ---

  function once(made, inputs, back) {
    return record(made, inputs, (g, i) => {
      if (recording) throw new Error("this operation has no second derivative here");
      return back(g, i);
    });
  }

  // The mean of f over all numbers of x; f gives [value, slope].
  function mean(x, f) {
    const made = tensor(1, 1), slopes = tensor(x.rows, x.cols), n = x.rows * x.cols;
    let total = 0;
    for (let i = 0; i < n; i++) {
      const [value, slope] = f(H[x.at + i]);
      total += value;
      H[slopes.at + i] = slope / n;
    }
    H[made.at] = total / n;
    return once(made, [x], (g) => scaled(slopes, H[g.at]));
  }
  function scaled(x, by) {
    const made = tensor(x.rows, x.cols);
    for (let i = 0, n = x.rows * x.cols; i < n; i++) H[made.at + i] = by * H[x.at + i];
    return made;
  }

  // weight * mean over rows of (length of the row - 1)^2.
  function penalty(x, weight) {
    const made = tensor(1, 1), slopes = tensor(x.rows, x.cols);
    let total = 0;
    for (let i = 0; i < x.rows; i++) {
      const at = i * x.cols;
      let square = 0;
      for (let j = 0; j < x.cols; j++) square += H[x.at + at + j] ** 2;
      const length = Math.sqrt(square), by = (2 * weight * (length - 1)) / (x.rows * (length || 1));
      total += (length - 1) ** 2;
      for (let j = 0; j < x.cols; j++) H[slopes.at + at + j] = by * H[x.at + at + j];
    }
    H[made.at] = (weight * total) / x.rows;
    return once(made, [x], (g) => scaled(slopes, H[g.at]));
  }

  // Batch normalisation with the batch's own mean and variance, which go to `told` if given.
  function normalise(x, gain, shift, eps, told) {
    const { rows, cols } = x, made = tensor(rows, cols), plain = tensor(rows, cols);
    const inverse = new Float64Array(cols);
    for (let j = 0; j < cols; j++) {
      let mean = 0, variance = 0;
      for (let i = j, n = rows * cols; i < n; i += cols) mean += H[x.at + i];
      mean /= rows;
      for (let i = j, n = rows * cols; i < n; i += cols) variance += (H[x.at + i] - mean) ** 2;
      variance /= rows;
      const by = (inverse[j] = 1 / Math.sqrt(variance + eps)), g = H[gain.at + j], s = H[shift.at + j];
      for (let i = j, n = rows * cols; i < n; i += cols) {
        const value = (H[x.at + i] - mean) * by;
        H[plain.at + i] = value;
        H[made.at + i] = g * value + s;
      }
      told?.(j, mean, (variance * rows) / (rows - 1));
    }
    return once(made, [x, gain, shift], (g, i) => {
      if (i === 2) return columnSums(g);
      const products = filled(1, cols);  // of the gradient and what was normalised, by column
      for (let r = 0, k = 0; r < rows; r++) {
        for (let j = 0; j < cols; j++, k++) H[products.at + j] += H[g.at + k] * H[plain.at + k];
      }
      if (i === 1) return products;
      const sums = columnSums(g), sent = tensor(rows, cols);
      for (let r = 0, k = 0; r < rows; r++) {
        for (let j = 0; j < cols; j++, k++) {
          H[sent.at + k] = H[gain.at + j] * inverse[j] *
            (H[g.at + k] - (H[sums.at + j] + H[plain.at + k] * H[products.at + j]) / rows);
        }
      }
      return sent;
    });
  }

  // Minibatch discrimination (Salimans et al. 2016): how close each row of x is to the others, `size`
  // numbers at a time: sum over the others of exp(-|difference|_1). (N, B * size) to (N, B). With
  // `others`, closeness to its rows instead, without a gradient: to look at D, not to train it.
  function closeness(x, size, others) {
    const { rows, cols } = x, kinds = cols / size, made = filled(rows, kinds), X = x.at;
    if (others) {
      for (let i = 0; i < rows; i++) {
        for (let r = 0; r < others.rows - 1; r++) {  // as many as a row of a batch has beside it
          for (let b = 0; b < kinds; b++) {
            let far = 0;
            for (let c = b * size; c < (b + 1) * size; c++) {
              far += Math.abs(H[X + i * cols + c] - H[others.at + r * cols + c]);
            }
            H[made.at + i * kinds + b] += Math.exp(-far);
          }
        }
      }
      return made;
    }
    const near = tensor(rows * rows, kinds).at;
    for (let i = 0; i < rows; i++) {
      for (let r = 0; r < i; r++) {
        for (let b = 0; b < kinds; b++) {
          let far = 0;
          for (let c = b * size; c < (b + 1) * size; c++) far += Math.abs(H[X + i * cols + c] - H[X + r * cols + c]);
          const value = Math.exp(-far);
          H[near + (i * rows + r) * kinds + b] = value;
          H[made.at + i * kinds + b] += value;
          H[made.at + r * kinds + b] += value;
        }
      }
    }
    return once(made, [x], (g) => {
      const sent = filled(rows, cols);
      for (let i = 0; i < rows; i++) {
        for (let r = 0; r < i; r++) {
          for (let b = 0; b < kinds; b++) {
            const pull = (H[g.at + i * kinds + b] + H[g.at + r * kinds + b]) * H[near + (i * rows + r) * kinds + b];
            for (let c = b * size; c < (b + 1) * size; c++) {
              const apart = H[X + i * cols + c] - H[X + r * cols + c];
              const sign = apart > 0 ? pull : apart < 0 ? -pull : 0;
              H[sent.at + i * cols + c] -= sign;
              H[sent.at + r * cols + c] += sign;
            }
          }
        }
      }
      return sent;
    });
  }

  // --- Gradients ---

  // Gradients of the sum of `outputs`, each weighted by its seed if it has one in `seeds`, with respect
  // to the tensors `wanted`. With `again`, they can be differentiated in turn.
  function gradients(outputs, wanted, { again = false, seeds } = {}) {
    const mine = ++pass, end = nodes.length, before = recording;
    const give = (t, g) => {
      t.grad = t.pass === mine ? sum(t.grad, g) : g;
      t.pass = mine;
    };
    for (const t of wanted) t.way = mine;
    for (let i = 0; i < end; i++) {  // only what lies on the way to what is wanted gets a gradient
      for (const input of nodes[i].from) if (input.way === mine) nodes[i].way = mine;
    }
    recording = again;
    outputs.forEach((output, i) => give(output, seeds?.[i] ?? filled(output.rows, output.cols, 1)));
    for (let i = end - 1; i >= 0; i--) {
      const node = nodes[i];
      if (node.pass !== mine) continue;
      for (let k = 0; k < node.from.length; k++) {
        if (node.from[k].way === mine) give(node.from[k], node.back(node.grad, k));
      }
    }
    recording = before;
    return wanted.map((t) => (t.pass === mine ? t.grad : filled(t.rows, t.cols)));
  }

  function quietly(act) {  // without a record
    const before = recording;
    recording = false;
    try {
      return act();
    } finally {
      recording = before;
    }
  }

  return {
    heap: H, tensor, filled, from, numbers, release, mark: () => top, quietly, gradients,
    matmul, linear, leaky, concat, slice, reshape, sum, mean, penalty, normalise, closeness,
  };
}
