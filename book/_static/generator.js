// A trained generator at work in the page: noise from a seed, weights from the server, images.
// ganlib/export.py writes the files and defines the layers; nothing here knows about the page.
//
//   const [entry] = await Digits.index(address);         what there is to choose from
//   const model = await Digits.load(address, entry, done => ...);
//   const image = model.draw(Digits.noise(seed, model.latent_dim), 7);   H * W values in [-1, 1]

window.Digits = (() => {
  "use strict";
  const FORMAT = 1;

  // --- Noise: the same seed is the same z for every reader ----------------------------------

  // mulberry32, a generator with 32 bits of state; numbers strictly between 0 and 1.
  function uniforms(seed) {
    let state = seed >>> 0;
    return () => {
      state = (state + 0x6d2b79f5) | 0;
      let t = Math.imul(state ^ (state >>> 15), state | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
    };
  }

  // Below which value a share p of a standard normal lies: Acklam's rational approximation, to 1e-9.
  const A = [-39.69683028665376, 220.9460984245205, -275.9285104469687, 138.357751867269,
    -30.66479806614716, 2.506628277459239];
  const B = [-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972,
    -13.28068155288572, 1];
  const C = [-0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734,
    4.374664141464968, 2.938163982698783];
  const D = [0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416, 1];
  const polynomial = (factors, x) => factors.reduce((sum, factor) => sum * x + factor, 0);

  function quantile(p) {
    if (p > 0.5) return -quantile(1 - p);
    if (p < 0.02425) {
      const q = Math.sqrt(-2 * Math.log(p));
      return polynomial(C, q) / polynomial(D, q);
    }
    const q = p - 0.5;
    return (polynomial(A, q * q) * q) / polynomial(B, q * q);
  }

  // The share of a standard normal below x, by Simpson's rule from 0 to x.
  function share(x) {
    const steps = 64, h = x / steps, density = (t) => Math.exp((-t * t) / 2);
    let sum = density(0) + density(x);
    for (let i = 1; i < steps; i++) sum += (i % 2 ? 4 : 2) * density(i * h);
    return 0.5 + (sum * h) / 3 / Math.sqrt(2 * Math.PI);
  }

  // z, n numbers of a standard normal; with a limit, of one with nothing beyond it on either side.
  // One uniform number makes one of z, so that z moves smoothly with the limit.
  function noise(seed, n, limit = Infinity) {
    const next = uniforms(seed), cut = limit === Infinity ? 0 : share(-limit);
    const z = new Float32Array(n);
    for (let i = 0; i < n; i++) z[i] = quantile(cut + next() * (1 - 2 * cut));
    return z;
  }

  // A point between two z, along the arc as ganlib.sampling.interpolate: part 0 is a, part 1 is b.
  function between(a, b, part) {
    let ab = 0, aa = 0, bb = 0;
    a.forEach((value, i) => { ab += value * b[i]; aa += value * value; bb += b[i] * b[i]; });
    const angle = Math.acos(Math.min(1, Math.max(-1, ab / Math.sqrt(aa * bb)))), sine = Math.sin(angle);
    if (!(sine >= 1e-4)) return a.map((value, i) => value + part * (b[i] - value));
    const first = Math.sin((1 - part) * angle) / sine, second = Math.sin(part * angle) / sine;
    return a.map((value, i) => first * value + second * b[i]);
  }

  // --- Layers: each becomes a step (x, label) that fills its own y ------------------------------

  const count = (shape) => shape.reduce((product, side) => product * side, 1);

  const build = {
    embedding({ table }, [size], n_classes) {
      const width = table.length / n_classes, y = new Float32Array(size + width);
      return [y, (x, label) => {
        y.set(x);
        y.set(table.subarray(label * width, (label + 1) * width), size);
      }];
    },

    dense({ weight, bias }, [n]) {
      const y = new Float32Array(bias.length), whole = n - (n % 4);
      return [y, (x) => {
        for (let row = 0, at = 0; row < y.length; row++, at += n) {
          let a = 0, b = 0, c = 0, d = 0;  // four sums, so that none waits for the one before
          for (let i = 0; i < whole; i += 4) {
            a += weight[at + i] * x[i];
            b += weight[at + i + 1] * x[i + 1];
            c += weight[at + i + 2] * x[i + 2];
            d += weight[at + i + 3] * x[i + 3];
          }
          for (let i = whole; i < n; i++) a += weight[at + i] * x[i];
          y[row] = bias[row] + (a + b) + (c + d);
        }
      }];
    },

    scale_shift({ scale, shift }, shape) {
      const [channels] = shape, size = count(shape), y = new Float32Array(size);
      const pixels = size / channels, perLabel = scale.length > channels;
      return [y, (x, label) => {
        for (let channel = 0, i = 0; channel < channels; channel++) {
          const row = perLabel ? label * channels + channel : channel;
          for (let end = i + pixels; i < end; i++) y[i] = x[i] * scale[row] + shift[row];
        }
      }];
    },

    leaky_relu({ slope }, shape) {
      const size = count(shape), y = new Float32Array(size);
      return [y, (x) => { for (let i = 0; i < size; i++) y[i] = x[i] > 0 ? x[i] : slope * x[i]; }];
    },

    tanh(_, shape) {
      const size = count(shape), y = new Float32Array(size);
      return [y, (x) => { for (let i = 0; i < size; i++) y[i] = Math.tanh(x[i]); }];
    },

    conv3x3: ({ weight, bias }, shape) => convolution(weight, bias, shape, 3, 1),

    // Up-sampling, then a convolution: of the nine pixels under the kernel, many are copies of one.
    // Each of the four places in a 2 x 2 block sees 2 x 2 different ones, under kernels that are
    // sums of the nine numbers. The result is the same for less than half of the work.
    upsampled_conv3x3: ({ weight, bias }, shape) => convolution(folded(weight), bias, shape, 2, 2),

    upsample2(_, [channels, height, width]) {
      const y = new Float32Array(channels * height * width * 4);
      return [y, (x) => {
        for (let row = 0, i = 0; row < channels * height; row++) {
          for (let twice = 0; twice < 2; twice++) {
            for (let column = 0; column < 2 * width; column++) y[i++] = x[row * width + (column >> 1)];
          }
        }
      }];
    },
  };

  // For each kernel of 3 x 3 the four of 2 x 2, one after the other: for the block's upper left,
  // upper right, lower left and lower right pixel.
  function folded(weight) {
    const four = new Float32Array((weight.length / 9) * 16);
    const tap = [[0, 1, 1], [0, 0, 1]];  // which of its two rows the upper and lower pixel's three are
    for (let kernel = 0; kernel < weight.length / 9; kernel++) {
      for (let place = 0; place < 4; place++) {
        for (let i = 0; i < 9; i++) {
          const row = tap[place >> 1][Math.floor(i / 3)], column = tap[place & 1][i % 3];
          four[kernel * 16 + place * 4 + row * 2 + column] += weight[kernel * 9 + i];
        }
      }
    }
    return four;
  }

  // The convolution of a picture with a border of zeros. Kernels of 3 x 3 give a picture of the same
  // size; four kernels of 2 x 2 for each pair of channels give each pixel a block of 2 x 2.
  function convolution(weight, bias, [channels, height, width], side, blocks) {
    const stride = width + 2, plane = (height + 2) * stride;
    const bordered = new Float32Array(channels * plane);
    const pixels = height * width * blocks * blocks;
    const y = new Float32Array(bias.length * pixels);
    const add = side === 3 ? addConvolved : addUpsampled;
    return [y, (x) => {
      for (let row = 0; row < channels * height; row++) {
        const at = Math.floor(row / height) * plane + ((row % height) + 1) * stride + 1;
        for (let i = 0; i < width; i++) bordered[at + i] = x[row * width + i];
      }
      for (let out = 0; out < bias.length; out++) {
        y.fill(bias[out], out * pixels, (out + 1) * pixels);
        for (let channel = 0; channel < channels; channel++) {
          const kernel = (out * channels + channel) * side * side * blocks * blocks;
          add(y, out * pixels, weight, kernel, bordered, channel * plane, height, width);
        }
      }
    }];
  }

  // In the two below, a to i are the nine pixels under the kernel, row by row; they move on to the
  // right, so that each pixel is read three times and not nine.
  function addConvolved(y, to, weight, kernel, x, from, height, width) {
    const w = weight, k = kernel, stride = width + 2;
    const wa = w[k], wb = w[k + 1], wc = w[k + 2], wd = w[k + 3], we = w[k + 4], wf = w[k + 5];
    const wg = w[k + 6], wh = w[k + 7], wi = w[k + 8];
    for (let row = 0; row < height; row++) {
      let p = from + row * stride;
      let a = x[p], b = x[p + 1], d = x[p + stride], e = x[p + stride + 1];
      let g = x[p + 2 * stride], h = x[p + 2 * stride + 1];
      for (let column = 0; column < width; column++, p++) {
        const c = x[p + 2], f = x[p + stride + 2], i = x[p + 2 * stride + 2];
        y[to++] += wa * a + wb * b + wc * c + wd * d + we * e + wf * f + wg * g + wh * h + wi * i;
        a = b; b = c; d = e; e = f; g = h; h = i;
      }
    }
  }

  function addUpsampled(y, to, weight, kernel, x, from, height, width) {
    const w = weight, k = kernel, stride = width + 2, below = 2 * width;
    const u0 = w[k], u1 = w[k + 1], u2 = w[k + 2], u3 = w[k + 3];
    const v0 = w[k + 4], v1 = w[k + 5], v2 = w[k + 6], v3 = w[k + 7];
    const s0 = w[k + 8], s1 = w[k + 9], s2 = w[k + 10], s3 = w[k + 11];
    const t0 = w[k + 12], t1 = w[k + 13], t2 = w[k + 14], t3 = w[k + 15];
    for (let row = 0; row < height; row++, to += below) {
      let p = from + row * stride;
      let a = x[p], b = x[p + 1], d = x[p + stride], e = x[p + stride + 1];
      let g = x[p + 2 * stride], h = x[p + 2 * stride + 1];
      for (let column = 0; column < width; column++, p++, to += 2) {
        const c = x[p + 2], f = x[p + stride + 2], i = x[p + 2 * stride + 2];
        y[to] += u0 * a + u1 * b + u2 * d + u3 * e;
        y[to + 1] += v0 * b + v1 * c + v2 * e + v3 * f;
        y[to + below] += s0 * d + s1 * e + s2 * g + s3 * h;
        y[to + below + 1] += t0 * e + t1 * f + t2 * h + t3 * i;
        a = b; b = c; d = e; e = f; g = h; h = i;
      }
    }
  }

  // --- Files ---------------------------------------------------------------------------------

  async function get(url, options) {
    let answer;
    try {
      answer = await fetch(url, options);
    } catch {
      throw new Error(`${url.pathname} cannot be reached`);
    }
    if (!answer.ok) throw new Error(`${url.pathname} is not there (${answer.status})`);
    return answer;
  }

  async function description(url) {
    const found = await (await get(url, { cache: "no-cache" })).json();
    if (found.format !== FORMAT) throw new Error(`${url.pathname} is of another version: reload`);
    return found;
  }

  // The models in the folder at `address`, as ganlib.export's index.json lists them.
  const index = async (address) => (await description(new URL("index.json", address))).models;

  // The model of one entry of the index. `onProgress` hears how much of it has come, from 0 to 1.
  async function load(address, entry, onProgress = () => {}) {
    const about = await description(new URL(entry.file, address));
    const url = new URL(about.weights, address);
    url.search = about.crc32;  // so that no stale copy of other weights is taken
    const reader = (await get(url)).body.getReader(), bytes = new Uint8Array(about.bytes);
    for (let at = 0; ;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (at + value.length > bytes.length) throw new Error(`${url.pathname} is too long`);
      bytes.set(value, at);
      onProgress((at += value.length) / bytes.length);
    }
    if (crc32(bytes) !== about.crc32) throw new Error(`${url.pathname} has come damaged: try again`);
    return { ...about, draw: assemble(about, bytes.buffer) };
  }

  // A function (z, label) => image; the image is overwritten by the next one.
  function assemble({ latent_dim, n_classes, layers }, buffer) {
    const steps = [];
    let shape = [latent_dim];  // of what the next layer takes
    for (let i = 0; i < layers.length; i++) {
      let { kind, ...layer } = layers[i];
      if (kind === "reshape") {
        shape = layer.shape;
        continue;
      }
      if (kind === "upsample2" && layers[i + 1]?.kind === "conv3x3") {
        layer = layers[++i];
        kind = "upsampled_conv3x3";
      }
      if (!build[kind]) throw new Error(`a layer of kind ${kind} is unknown here: reload`);
      const parts = Object.entries(layer).map(([key, value]) =>
        [key, value.dtype ? numbers(buffer, value) : value]);
      const [y, step] = build[kind](Object.fromEntries(parts), shape, n_classes);
      steps.push([y, step]);
      shape = shapeAfter(kind, shape, y.length);
    }
    return (z, label = 0) => {
      let x = z;
      for (const [y, step] of steps) {
        step(x, label);
        x = y;
      }
      return x;
    };
  }

  function shapeAfter(kind, shape, size) {
    if (shape.length === 1) return [size];
    const [, height, width] = shape, times = kind.startsWith("upsample") ? 2 : 1;
    return [size / (height * width * times * times), height * times, width * times];
  }

  // An array of the weights, as float32 whatever it is stored as. All of today's browsers run on
  // little-endian machines, the order of the file.
  function numbers(buffer, { shape, dtype, offset }) {
    const n = count(shape);
    if (dtype === "float32") return new Float32Array(buffer, offset, n);
    if (dtype !== "float16") throw new Error(`numbers of type ${dtype} are unknown here: reload`);
    const stored = new Uint16Array(buffer, offset, n), values = new Float32Array(n);
    const known = halves();
    for (let i = 0; i < n; i++) values[i] = known[stored[i]];
    return values;
  }

  // The value of each of the 65,536 numbers in half precision.
  let halfValues;
  function halves() {
    if (halfValues) return halfValues;
    halfValues = new Float32Array(65536);
    for (let bits = 0; bits < 65536; bits++) {
      const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, rest = bits & 1023;
      const size = exponent ? (1024 + rest) * 2 ** (exponent - 25) : rest * 2 ** -24;
      halfValues[bits] = exponent < 31 ? sign * size : rest ? NaN : sign * Infinity;
    }
    return halfValues;
  }

  function crc32(bytes) {
    const table = Int32Array.from({ length: 256 }, (_, byte) => {
      for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
      return byte;
    });
    let sum = -1;
    for (let i = 0; i < bytes.length; i++) sum = table[(sum ^ bytes[i]) & 255] ^ (sum >>> 8);
    return ~sum >>> 0;
  }

  return { noise, between, index, load };
})();
