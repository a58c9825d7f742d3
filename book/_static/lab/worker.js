// Trains beside the page, so that the page never stutters: one GAN, or two in step with each other.
//
// Gets { type: "start", version, sides, points }, { type: "go", speed } in iterations a second, 0 being
// a stop, { type: "step", who, times }, { type: "points", points } and, for every frame that has been
// drawn, { type: "drawn" }. Sends frames: { version, rate, sides: [{ iteration, good, modes, d, g, trail,
// points, arrows, field }] }, `trail` being how it stood on the way; and { error }.

import { makeGan } from "./gan.js";
import { REACH } from "./settings.js";

const SIDE = 40;  // of the field's lattice
const SLICE = 16, FRAME = 24;  // ms: of training at a time; between frames
const AHEAD = 2;  // frames sent and not yet drawn; then training waits

let gans = [], sums = [], trails = [], version = 0;
let speed = 0, due = 0, before = 0, waiting = 0, ticking = false;
let rate = 0, counted = 0, since = 0, frames = 0, every = 1;

const { port1, port2 } = new MessageChannel();  // a turn that browsers do not delay, as they do timers
port1.onmessage = () => tick();

function train(gan, sum, who) {
  if (who === "D") sum.d.push(gan.stepD());
  else if (who === "G") sum.g.push(gan.stepG());
  else {
    gan.train();
    sum.d.push(gan.losses.d);
    sum.g.push(gan.losses.g);
  }
}
const once = (who) => gans.forEach((gan, i) => train(gan, sums[i], who));
const mean = (values) => (values.length ? values.reduce((a, b) => a + b) / values.length : NaN);

// How it stands: the losses are means since the last time.
function note(gan, i, points) {
  const entry = { iteration: gan.iteration, ...gan.measure(points), d: mean(sums[i].d), g: mean(sums[i].g) };
  sums[i] = { d: [], g: [] };
  trails[i].push(entry);
  return entry;
}

function show() {
  const begun = performance.now(), fields = frames++ % every === 0;
  const sides = gans.map((gan, i) => {
    const points = gan.sample(), latest = note(gan, i, points);
    const trail = trails[i];
    trails[i] = [];
    return {
      ...latest, trail, points, arrows: gan.pulls(points), field: fields ? gan.field(SIDE, REACH, points) : null,
    };
  });
  if (fields) every = speed ? Math.max(1, Math.round((performance.now() - begun) / 8)) : 1;
  const buffers = sides.flatMap(({ points, arrows, field }) => [points, arrows, field].filter(Boolean).map((a) => a.buffer));
  waiting++;
  postMessage({ version, rate, sides }, buffers);
}

function tick() {
  ticking = false;
  if (!speed || !gans.length || waiting >= AHEAD) return;
  const begun = performance.now();
  due = speed === Infinity ? Infinity : Math.min(due + (speed * (begun - before)) / 1000, Math.max(speed / 10, 1));
  before = begun;
  let did = 0;
  while (due >= 1 && performance.now() - begun < SLICE) {
    once();
    did++;
    due--;
  }
  counted += did;
  if (begun - since > 500) {
    rate = (1000 * counted) / (begun - since);
    [counted, since] = [0, begun];
  }
  if (did) show();
  const left = FRAME - (performance.now() - begun);
  if (left > 4) setTimeout(wake, left);
  else wake();
}
function wake() {
  if (ticking) return;
  ticking = true;
  port2.postMessage(0);
}

const does = {
  start(message) {
    version = message.version;
    waiting = 0;
    gans = message.sides.map((settings) => makeGan({ ...settings, points: message.points }));
    sums = gans.map(() => ({ d: [], g: [] }));
    trails = gans.map(() => []);
    frames = counted = rate = 0;
    since = performance.now();
    show();
  },
  go(message) {
    ({ speed } = message);
    due = 1;
    before = since = performance.now();
    frames = counted = rate = 0;
  },
  step({ who, times = 1 }) {
    for (let i = 1; i <= times; i++) {
      once(who);
      if (i % 25 === 0 && i < times) gans.forEach((gan, k) => note(gan, k, gan.sample()));
    }
    frames = 0;  // a look at everything
    show();
  },
  points({ points }) {
    gans.forEach((gan) => gan.teach(points));
    frames = 0;
    if (!speed) show();
  },
  drawn() {
    waiting = Math.max(0, waiting - 1);
  },
};

onmessage = ({ data }) => {
  try {
    does[data.type](data);
    if (speed) wake();
  } catch (error) {
    postMessage({ error: error.message });
  }
};
