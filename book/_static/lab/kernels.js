// Memory for numbers, and the one operation that takes time: a product of matrices added to a third,
// C += A B. Twice: in WebAssembly, two numbers at once, and in plain JavaScript for browsers without
// such instructions. Both in float64: what float32 rounds off, a GAN's training soon makes visible.
//
// Places are counted in numbers. A (m, k) has strides for its rows and its columns, so that the same
// product serves A transposed; B (k, n) and C (m, n) lie row by row, without gaps.

const PAGES = 256;  // of 64 KiB: 2 million float64

export function plain() {
  const heap = new Float64Array(PAGES << 13);
  return { heap, product(a, row, column, b, c, m, k, n) {
    for (let i = 0; i < m; i++) {
      for (let p = 0; p < k; p++) {
        const scale = heap[a + i * row + p * column];
        for (let j = 0, from = b + p * n, to = c + i * n; j < n; j++) heap[to + j] += scale * heap[from + j];
      }
    }
  } };
}

let compiled;  // once for all memories

export function simd() {
  compiled ??= new WebAssembly.Module(assemble());
  const { memory, product } = new WebAssembly.Instance(compiled).exports;
  return {
    heap: new Float64Array(memory.buffer),
    product: (a, row, column, b, c, m, k, n) =>
      product(8 * a, 8 * row, 8 * column, 8 * b, 8 * c, m, k, n),
  };
}

export function best() {
  try {
    return simd();
  } catch {
    return plain();
  }
}

// --- The WebAssembly, written by loops instead of by hand ----------------------------------------
//
// C is covered by tiles of 4 rows and 4 columns, whose 16 sums stay in registers while p goes through
// k; what is left over at the edges is covered by tiles of one row, of 2 columns, and of one.

function assemble() {
  const number = (value) => {  // LEB128, unsigned; for constants here small enough to be signed too
    const bytes = [];
    for (; value > 127; value >>>= 7) bytes.push((value & 127) | 128);
    return [...bytes, value];
  };
  const get = (local) => [0x20, ...number(local)], set = (local) => [0x21, ...number(local)];
  const constant = (value) => [0x41, value], add = 0x6a, sub = 0x6b, mul = 0x6c;
  const step = (local, ...by) => [...get(local), ...by, add, ...set(local)];  // local += by
  const less = (local, by) => [...get(local), ...constant(by), sub, ...set(local)];
  // while (local >= least) { body }
  const whilst = (local, least, body) => [
    0x02, 0x40, 0x03, 0x40, ...get(local), ...constant(least), 0x48, 0x0d, 1, ...body, 0x0c, 0, 0x0b, 0x0b,
  ];
  const [A, ROW, COLUMN, B, C, M, K, N] = [0, 1, 2, 3, 4, 5, 6, 7];
  const [width, columns, fromA, fromB, toC, b, p] = [8, 9, 10, 11, 12, 13, 14];
  const FLOAT = 16, VECTOR = 21, right = VECTOR + 8;  // sums of each kind; the row of B at hand

  const vectorOps = { load: [0xfd, 0], splat: [0xfd, 10], store: [0xfd, 11], mul: [0xfd, 0xf2, 1], add: [0xfd, 0xf0, 1] };
  const floatOps = { load: [0x2b], splat: [0x2b], store: [0x39], mul: [0xa2], add: [0xa0] };

  function tile(height, vectors) {
    const wide = vectors > 0, across = vectors || 1, ops = wide ? vectorOps : floatOps;
    const align = wide ? 4 : 3, sum = (r, v) => (wide ? VECTOR : FLOAT) + r * across + v;
    const all = [...Array(height * across).keys()].map((i) => [Math.floor(i / across), i % across]);
    const place = (local, stride, r) =>  // local + r * stride
      r ? [...get(local), ...get(stride), ...constant(r), mul, add] : get(local);
    return [
      ...all.flatMap(([r, v]) => [...place(toC, width, r), ...ops.load, align, 16 * v, ...set(sum(r, v))]),
      ...get(A), ...set(fromA), ...get(b), ...set(fromB), ...get(K), ...set(p),
      ...whilst(p, 1, [
        ...[...Array(across).keys()].flatMap((v) =>
          [...get(fromB), ...ops.load, align, 16 * v, ...set(wide ? right + v : FLOAT + 4)]),
        ...all.flatMap(([r, v]) => [
          ...get(sum(r, v)), ...place(fromA, ROW, r), ...ops.splat, 3, 0,
          ...get(wide ? right + v : FLOAT + 4), ...ops.mul, ...ops.add, ...set(sum(r, v)),
        ]),
        ...step(fromA, ...get(COLUMN)), ...step(fromB, ...get(width)), ...less(p, 1),
      ]),
      ...all.flatMap(([r, v]) => [...place(toC, width, r), ...get(sum(r, v)), ...ops.store, align, 16 * v]),
    ];
  }

  const band = (height) => whilst(M, height, [
    ...get(B), ...set(b), ...get(C), ...set(toC), ...get(N), ...set(columns),
    ...[2, 1, 0].flatMap((vectors) => {
      const covered = 2 * vectors || 1;
      return whilst(columns, covered, [
        ...tile(height, vectors),
        ...step(b, ...constant(8 * covered)), ...step(toC, ...constant(8 * covered)), ...less(columns, covered),
      ]);
    }),
    ...step(A, ...get(ROW), ...constant(height), mul), ...step(C, ...get(width), ...constant(height), mul),
    ...less(M, height),
  ]);

  const I32 = 0x7f, F64 = 0x7c, V128 = 0x7b;
  const code = [
    3, 8, I32, 5, F64, 11, V128,  // locals 8 to 15, 16 to 20, 21 to 31
    ...get(N), ...constant(8), mul, ...set(width), ...band(4), ...band(1), 0x0b,
  ];
  const sized = (bytes) => [...number(bytes.length), ...bytes];
  const name = (text) => sized([...new TextEncoder().encode(text)]);
  const section = (id, bytes) => [id, ...sized(bytes)];
  return new Uint8Array([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, [1, 0x60, 8, ...Array(8).fill(I32), 0]),  // one type: eight integers, no result
    ...section(3, [1, 0]),
    ...section(5, [1, 0, ...number(PAGES)]),
    ...section(7, [2, ...name("memory"), 2, 0, ...name("product"), 0, 0]),
    ...section(10, [1, ...sized(code)]),
  ]);
}
