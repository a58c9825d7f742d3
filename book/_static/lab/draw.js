// Everything that is painted: the plane with D's field, points and arrows; the curves beside it.

import { REACH } from "./settings.js";

const ORANGE = [255, 127, 14];  // --book-d
const lattice = document.createElement("canvas");  // of the field, small, to be drawn large
const stamp = document.createElement("canvas");  // a dot
const LEAST = 0.3;  // the least difference of D's answers that the colour is stretched over

// The colours of the page as it is now, light or dark.
export function palette(element) {
  const style = getComputedStyle(element), of = (name) => style.getPropertyValue(name).trim();
  return {
    paper: of("--pst-color-background"), ink: of("--pst-color-text-base"), faint: of("--pst-color-text-muted"),
    line: of("--pst-color-border"), d: of("--lab-d"), g: of("--lab-g"), real: of("--lab-real"),
  };
}

// As many pixels as the screen has for it. The context counts in CSS pixels.
function fitted(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas, ratio = Math.min(devicePixelRatio || 1, 2);
  const size = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

// Dots, each a copy of one small picture: a thousand arcs a frame would be slow.
function dots(context, points, place, radius, colour) {
  const half = Math.ceil(2 * radius) + 1;  // drawn twice as large as it lies there, for fine screens
  stamp.width = stamp.height = 2 * half;
  const ink = stamp.getContext("2d");
  ink.fillStyle = colour;
  ink.arc(half, half, 2 * radius, 0, 2 * Math.PI);
  ink.fill();
  for (let i = 0; i < points.length; i += 2) {
    const [x, y] = place(points[i], points[i + 1]);
    context.drawImage(stamp, x - half / 2, y - half / 2, half, half);
  }
}

// What a side shows: real points, the frame { points, arrows, field }, a cursor to draw with.
export function plane(canvas, colours, real, frame, show, cursor) {
  const { context, width } = fitted(canvas);
  const place = (x, y) => [((x / REACH + 1) * width) / 2, ((1 - y / REACH) * width) / 2];
  const scale = width / 420;
  if (frame?.field && show.field) {
    const side = Math.sqrt(frame.field.length), image = new ImageData(side, side);
    let [low, high] = [Infinity, -Infinity];
    for (const value of frame.field) [low, high] = [Math.min(low, value), Math.max(high, value)];
    const span = Math.max(high - low, LEAST), from = (low + high - span) / 2;
    frame.field.forEach((value, i) => {
      for (let k = 0; k < 3; k++) image.data[4 * i + k] = ORANGE[k];
      image.data[4 * i + 3] = 215 * ((value - from) / span) ** 1.5;
    });
    lattice.width = lattice.height = side;
    lattice.getContext("2d").putImageData(image, 0, 0);
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(lattice, 0, 0, width, width);
  }
  dots(context, real, place, Math.max(1.2, 1.6 * scale), colours.real);
  if (frame) {
    dots(context, frame.points, place, Math.max(1.3, 1.9 * scale), colours.g);
    if (show.arrows) arrows(context, colours, frame, place, width);
  }
  if (cursor) {
    const [x, y] = place(...cursor);
    context.beginPath();
    for (const [a, b] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(x + 4 * a, y + 4 * b);
      context.lineTo(x + 12 * a, y + 12 * b);
    }
    context.lineWidth = 2;
    context.strokeStyle = colours.ink;
    context.stroke();
  }
}

// Where the loss pulls some of the points. An arrow is at most a fifth of the plane long, half of that
// where the pull is FIRM, and ever less more beyond.
const FIRM = 1;
function arrows(context, colours, { points, arrows }, place, width) {
  context.beginPath();
  for (let i = 0; i < arrows.length; i += 2) {
    const pull = Math.hypot(arrows[i], arrows[i + 1]);
    const length = (width / 5) * (pull / (FIRM + pull));
    if (!(length > 1.5)) continue;
    const [x, y] = place(points[i], points[i + 1]), a = arrows[i] / pull, b = -arrows[i + 1] / pull;
    const [tipX, tipY] = [x + a * length, y + b * length], head = Math.min(5, length / 2);
    context.moveTo(x, y);
    context.lineTo(tipX, tipY);
    context.moveTo(tipX - head * (a + 0.6 * b), tipY - head * (b - 0.6 * a));
    context.lineTo(tipX, tipY);
    context.lineTo(tipX - head * (a - 0.6 * b), tipY - head * (b + 0.6 * a));
  }
  context.globalAlpha = 0.8;
  context.lineWidth = 1;
  context.strokeStyle = colours.ink;
  context.stroke();
  context.globalAlpha = 1;
}

// --- Curves over the iterations ------------------------------------------------------------------

const MOST = 500;

// Keeps the whole story in at most MOST entries: full, it forgets every second one, and from then on
// takes in only every second, fourth, ... that comes.
export function makeHistory() {
  let entries = [], every = 1, count = 0, latest = null;
  return {
    add(entry) {
      latest = entry;
      if (count++ % every) return;
      entries.push(entry);
      if (entries.length >= MOST) {
        entries = entries.filter((_, i) => i % 2 === 0);
        every *= 2;
      }
    },
    all: () => (latest && entries.at(-1) !== latest ? [...entries, latest] : entries),
  };
}

// lines: [{ of: entry => value, colour, fill }]; low and high, or the values' own range.
export function curves(canvas, colours, entries, lines, range) {
  const { context, width, height } = fitted(canvas);
  const left = 34, top = 6, bottom = height - 16, right = width - 6;
  const end = Math.max(entries.at(-1)?.iteration ?? 0, 1);
  let [low, high] = range ?? [Infinity, -Infinity];
  if (!range) {
    const values = lines.flatMap(({ of }) => entries.map(of)).filter(Number.isFinite).sort((a, b) => a - b);
    if (values.length) [low, high] = [values[Math.floor(values.length / 100)], values[Math.ceil((values.length - 1) * 0.99)]];
    if (!(high - low > 1e-6)) [low, high] = [Number.isFinite(low) ? low - 0.5 : 0, Number.isFinite(high) ? high + 0.5 : 1];
  }
  const x = (iteration) => left + ((right - left) * iteration) / end;
  const y = (value) => bottom - ((bottom - top) * (Math.min(Math.max(value, low), high) - low)) / (high - low);
  context.font = "11px system-ui, sans-serif";
  context.fillStyle = colours.faint;
  context.strokeStyle = colours.line;
  context.lineWidth = 1;
  context.textAlign = "right";
  const said = (value) => (range ? String(value) : value.toFixed(Math.abs(value) < 10 ? 2 : 0));
  for (const value of [low, high]) {
    context.beginPath();
    context.moveTo(left, y(value));
    context.lineTo(right, y(value));
    context.stroke();
    context.fillText(said(value), left - 5, y(value) + (value === high ? 8 : 0));
  }
  context.fillText(end.toLocaleString("en"), right, height - 3);
  context.textAlign = "left";
  context.fillText("0", left, height - 3);
  for (const { of, colour, fill, step } of lines) {
    context.beginPath();
    let begun = false, last = 0;
    for (const entry of entries) {
      const value = of(entry);
      if (!Number.isFinite(value)) continue;
      if (begun && step) context.lineTo(x(entry.iteration), last);
      last = y(value);
      if (begun) context.lineTo(x(entry.iteration), last);
      else context.moveTo(x(entry.iteration), last);
      begun = true;
    }
    context.strokeStyle = colour;
    context.lineWidth = 1.6;
    context.lineJoin = "round";
    context.stroke();
    if (fill && begun) {
      context.lineTo(x(entries.at(-1).iteration), bottom);
      context.lineTo(x(entries[0].iteration), bottom);
      context.globalAlpha = 0.18;
      context.fillStyle = colour;
      context.fill();
      context.globalAlpha = 1;
    }
  }
}
