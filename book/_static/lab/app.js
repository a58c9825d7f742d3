// The laboratory: what the reader sees and presses. worker.js trains, draw.js paints.

import { dataSet, draw, randomNumbers } from "./data.js";
import { curves, makeHistory, palette, plane } from "./draw.js";
import { cleared, closed, FIELDS, format, fresh, MOST_POINTS, parse, REACH, rounded, SPEEDS } from "./settings.js";

const LINK = "#lab?";
const LEAP = 500;  // iterations at a press, where nothing is to move
const SEEDS = 1000;  // New seed picks one below it
const REAL = 400;  // real points shown
const STEP = 0.1;  // of the cursor that draws with the keyboard
const GROUPS = [["The points", ["data"]], ["The game", ["loss", "stepsD", "rateD", "rateG"]],
  ["The networks", ["width", "norm"]], ["Remedies", ["pack", "label", "discrimination", "average"]]];
const SMALL = [["", ["loss", "norm"]]];

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
const percent = (share) => `${Math.round(100 * share)} %`;
const number = (value) => (Number.isFinite(value) ? value.toFixed(2).replace("-", "−") : "–");
const speedName = (speed) => (SPEEDS[speed] === Infinity ? "as fast as it goes" : `${SPEEDS[speed]} iterations a second`);

let opened = 0;

export function open(root) {
  const small = root.dataset.lab === "small", mine = ++opened, id = (name) => `lab${mine}-${name}`;
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const fromLink = () => (location.hash.startsWith(LINK) ? parse(location.hash.slice(LINK.length)) : null);
  let state = (small ? parse(root.dataset.settings ?? "") : fromLink()) ?? fresh();
  let playing = false, inView = true, editing = 0, version = 0, asked = 0, colours, cursor = null, drawings = 0, fresher = null, owed = 0;
  const show = { field: true, arrows: true };

  // The page has the questions: terms with a link's settings, and what to ask.
  const questions = [...root.querySelectorAll("dt")].map((term) => ({
    title: term.textContent.trim(), link: term.querySelector("[data-lab]").dataset.lab,
    ask: term.nextElementSibling.textContent.trim(),
  }));

  const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  worker.onmessage = ({ data }) => (data.error ? fail(data.error) : receive(data));
  worker.onerror = (event) => fail(event.message || "its worker did not load");
  const fail = (why) => {
    playing = false;
    status.textContent = `The laboratory stopped: ${why}`;
    tell();
  };

  // --- What is to be pressed ---

  const button = (text, onclick, kind = "", more = {}) =>
    make("button", { type: "button", class: `pg-button ${kind}`, onclick, ...more }, text);
  const chips = (name, options, onchange) => options.map(([value, text]) =>
    make("label", { class: "pg-chip" },
      make("input", { type: "radio", name: id(name), value, onchange: () => onchange(value) }), make("span", {}, text)));
  const check = (text, checked, onchange) => {
    const input = make("input", { type: "checkbox", checked, onchange: () => onchange(input.checked) });
    return make("label", { class: "lab-check" }, input, make("span", {}, text));
  };

  const play = button("Play", () => go(!playing), "pg-start");
  const leap = button(`Train ${LEAP} iterations`, () => step("both", LEAP), "pg-start");
  const stepD = button("Step D", () => step("D"), "lab-d"), stepG = button("Step G", () => step("G"), "lab-g");
  const again = button("Restart", () => restart());
  const speed = make("input", { type: "range", id: id("speed"), min: 0, max: SPEEDS.length - 1, step: 1, oninput: () => {
    state.speed = Number(speed.value);
    sayState();
    if (playing) go(true);
  } });
  const speedSaid = make("span", { "aria-hidden": "true" });
  const pace = make("div", { class: "pg-slider" }, make("label", { for: id("speed") }, "Speed"), speedSaid, speed);
  const status = make("p", { class: "lab-status", role: "status" });
  const transport = make("div", { class: "lab-transport" }, play, leap, stepD, stepG, again,
    ...(small ? [] : [pace, make("div", { class: "lab-shown" },
      check("D’s field", true, (on) => { show.field = on; paint(); }),
      check("Arrows", true, (on) => { show.arrows = on; paint(); }))]));

  // --- One side of the comparison, or the only one ---

  const sides = [0, 1].map((i) => {
    const canvas = make("canvas", { class: "lab-plane", role: "img" });
    const hint = make("p", { class: "lab-hint" }, "Draw here");
    const head = make("p", { class: "lab-head" });
    const values = Object.fromEntries([["iteration", "iteration"], ["modes", "modes found"], ["good", "near a mode"],
      ["d", "D’s loss"], ["g", "G’s loss"]].map(([key, title]) => {
      const value = make("dd", {}, "–"), name = make("dt", {}, title);
      return [key, { value, name, box: make("div", { class: `lab-value lab-of-${key}` }, name, value) }];
    }));
    const share = make("canvas", { class: "lab-curve", role: "img" }), losses = make("canvas", { class: "lab-curve", role: "img" });
    const shareName = make("p", { class: "lab-key" }), lossesName = make("p", { class: "lab-key" },
      make("span", { class: "lab-line-d" }, "D’s loss"), make("span", { class: "lab-line-g" }, "G’s loss"));
    const element = make("div", { class: "lab-side", role: "group", "aria-label": i ? "B" : "A" }, head,
      make("div", { class: "lab-frame" }, canvas, hint),
      make("dl", { class: "lab-values" }, ...Object.values(values).map(({ box }) => box)),
      ...(small ? [] : [shareName, share, lossesName, losses]));
    const side = { element, canvas, hint, head, values, share, shareName, losses, history: makeHistory(), frame: null, real: [] };
    drawable(side);
    return side;
  });
  const used = () => sides.slice(0, state.compare ? 2 : 1);

  // --- Settings ---

  const inputs = {};
  function field(key) {
    const { title, options, toggle } = FIELDS[key];
    const set = (value) => {
      const shared = FIELDS[key].shared;
      state.sides.forEach((side, i) => { if (shared || i === (state.compare ? editing : 0)) side[key] = value; });
      changed();
    };
    if (toggle) {
      const element = check(title, false, set);
      const why = make("small", {});
      element.append(why);
      inputs[key] = { input: element.querySelector("input"), why, set: (value) => { inputs[key].input.checked = value; } };
      return element;
    }
    const select = make("select", { id: id(key), onchange: () => set(options[select.selectedIndex][0]) },
      ...options.map(([, text]) => make("option", {}, text)));
    inputs[key] = { input: select, set: (value) => { select.selectedIndex = options.findIndex(([one]) => one === value); } };
    return make("div", { class: "lab-field" }, make("label", { for: id(key) }, title), select);
  }
  const seed = make("input", { type: "number", id: id("seed"), min: 0, step: 1, inputmode: "numeric", onchange: () => {
    const value = Number(seed.value);
    if (seed.value !== "" && Number.isInteger(value) && value >= 0 && value < 2 ** 32) state.seed = value;
    changed();
  } });
  const seedField = make("div", { class: "lab-field" }, make("label", { for: id("seed") }, "Seed"), seed,
    button("New seed", () => { state.seed = Math.floor(Math.random() * SEEDS); changed(); }));
  const clear = button("Clear points", () => { state.points = []; changed(); });
  const compare = check("Compare two settings, one seed", false, (on) => {
    state.compare = on;
    editing = on ? 1 : 0;
    changed();
  });
  const tabs = make("fieldset", { class: "lab-tabs" }, make("legend", {}, "The settings below are those of"),
    ...chips("side", [[0, "A, left"], [1, "B, right"]], (i) => { editing = i; sayState(); }));
  const groups = (small ? SMALL : GROUPS).map(([title, keys], i) => make("fieldset", { class: "lab-group" },
    ...(title ? [make("legend", {}, title)] : []), ...keys.map(field), ...(small || i ? [] : [clear, seedField])));
  const settings = make("form", { class: "lab-settings", onsubmit: (event) => event.preventDefault() },
    ...(small ? [] : [make("div", { class: "lab-compare" }, compare, tabs)]), make("div", { class: "lab-groups" }, ...groups));

  const ask = make("p", { class: "lab-ask", role: "status" });
  const presets = make("fieldset", { class: "lab-presets" }, make("legend", {}, "Begin with a question"),
    ...chips("preset", questions.map(({ title }, i) => [i, title]), choose), ask);
  function choose(i) {
    const { speed } = state;
    state = parse(questions[i].link);
    if (!questions[i].link.includes("speed")) state.speed = Math.max(speed, 3);
    editing = state.compare ? 1 : 0;
    changed();
    if (!still.matches && !blank()) go(true);
  }

  // --- State to page, state to worker ---

  const blank = () => state.sides[0].data === "drawn" && !state.points.length;
  const settingsOf = (i) => cleared({ ...state.sides[i], seed: state.seed });

  function changed() {
    state.sides[1].data = state.sides[0].data;
    sayState();
    restart();
  }

  function sayState() {
    const side = state.sides[state.compare ? editing : 0];
    for (const [key, { input, why, set }] of Object.entries(inputs)) {
      set(side[key]);
      if (!why) continue;
      const reason = closed(key, side);
      input.disabled = Boolean(reason);
      why.textContent = reason;
    }
    seed.value = state.seed;
    speed.value = state.speed;
    speedSaid.textContent = speedName(state.speed);
    speed.setAttribute("aria-valuetext", speedSaid.textContent);
    clear.hidden = side.data !== "drawn";
    clear.disabled = !state.points.length;
    compare.querySelector("input").checked = state.compare;
    tabs.hidden = !state.compare;
    tabs.querySelectorAll("input").forEach((input, i) => { input.checked = i === editing; });
    const link = format(state), plain = ({ speed, ...rest }) => format({ ...rest, points: [], speed: SPEEDS.length - 1 });
    const chosen = questions.findIndex((preset) => plain(parse(preset.link)) === plain({ ...state, seed: 1 }));
    presets.querySelectorAll("input").forEach((input, i) => { input.checked = i === chosen; });
    const question = questions[chosen]?.ask ?? "A setting of your own. What do you expect, before you press Play?";
    if (ask.textContent !== question) ask.textContent = question;
    if (!small && (link || location.hash)) {
      history.replaceState(history.state, "", link ? LINK + link : location.pathname + location.search);
    }
    root.classList.toggle("lab-two", state.compare);
    sides[1].element.hidden = !state.compare;
    used().forEach((one, i) => {
      one.head.textContent = state.compare ? `${"AB"[i]} · ${differences(i)}` : "";
      one.head.hidden = !state.compare;
      one.canvas.classList.toggle("lab-drawing", side.data === "drawn");
      if (side.data === "drawn") one.canvas.tabIndex = 0;
      else one.canvas.removeAttribute("tabindex");
      one.values.modes.name.textContent = side.data === "drawn" ? "points reached" : "modes found";
      one.values.good.name.textContent = side.data === "drawn" ? "near a point" : "near a mode";
      one.shareName.replaceChildren(make("span", { class: "lab-line-g" }, side.data === "drawn" ? "near a point" : "near a mode"),
        make("span", { class: "lab-line-ink" }, side.data === "drawn" ? "points reached" : "modes found"));
    });
  }

  // In what A and B differ, in words.
  function differences(i) {
    const said = Object.entries(FIELDS).filter(([key]) => state.sides[0][key] !== state.sides[1][key])
      .map(([key, { title, options }]) => {
        const value = state.sides[i][key], name = title.split(":")[0];
        return options ? `${name}: ${options.find(([one]) => one === value)[1]}` : `${value ? "" : "no "}${name.toLowerCase().replace("g’s", "G’s")}`;
      });
    return said.join("; ") || "as the other";
  }

  function restart() {
    version++;
    asked = 0;
    fresher = null;
    root.dataset.iteration = "";
    const data = dataSet({ data: state.sides[0].data, points: state.points });
    const real = draw(data, REAL, randomNumbers(state.seed, 9)).points;
    for (const side of used()) {
      Object.assign(side, { history: makeHistory(), frame: null, real: blank() ? [] : real, centres: blank() ? 0 : data.centres.length });
    }
    worker.postMessage({ type: "start", version, points: state.points, sides: used().map((_, i) => settingsOf(i)) });
    if (playing && blank()) playing = false;
    go(playing);
  }

  function go(on) {
    const before = playing;
    playing = on;
    worker.postMessage({ type: "go", speed: on && inView && !document.hidden ? SPEEDS[state.speed] : 0 });
    tell();
    if (before && !on) sayWhere();
  }
  const rest = () => playing && go(true);  // asleep while nobody can see it
  function step(who, times = 1) {
    if (playing) go(false);
    asked = 1;
    worker.postMessage({ type: "step", who, times });
  }
  function tell() {
    play.textContent = playing ? "Pause" : "Play";
    play.hidden = pace.hidden = still.matches;
    leap.hidden = !still.matches;
    for (const one of [play, leap, stepD, stepG]) one.disabled = blank();
    root.dataset.playing = playing;
  }

  // --- Frames ---

  function receive(message) {
    owed++;
    if (message.version === version) {
      message.sides.forEach((frame, i) => {
        const side = sides[i];
        if (side.frame) {  // a step of one player says nothing of the other, and the field may be an older one
          frame.field ??= side.frame.field;
          if (!Number.isFinite(frame.d)) frame.d = side.frame.d;
          if (!Number.isFinite(frame.g)) frame.g = side.frame.g;
        }
        side.frame = frame;
        frame.trail.forEach(side.history.add);
      });
      fresher = message;
    }
    if (owed === 1) requestAnimationFrame(() => {
      paint();
      for (; owed; owed--) worker.postMessage({ type: "drawn" });
      if (asked) sayWhere();
      asked = 0;
    });
  }

  function paint() {
    colours ??= palette(root);
    used().forEach((side) => {
      const { frame, values } = side, none = blank();
      side.hint.hidden = !none;
      plane(side.canvas, colours, side.real, none ? null : frame, show, cursor);
      if (!frame) return;
      values.iteration.value.textContent = frame.iteration.toLocaleString("en");
      values.modes.value.textContent = none ? "–" : `${frame.modes} of ${side.centres}`;
      values.good.value.textContent = none ? "–" : percent(frame.good);
      values.d.value.textContent = number(frame.d);
      values.g.value.textContent = number(frame.g);
      side.canvas.setAttribute("aria-label", where(side));
      if (small) return;
      const entries = side.history.all();
      curves(side.share, colours, entries, [
        { of: ({ good }) => 100 * good, colour: colours.g, fill: true },
        { of: ({ modes }) => (100 * modes) / side.centres, colour: colours.ink, step: true }], [0, 100]);
      curves(side.losses, colours, entries, [{ of: ({ d }) => d, colour: colours.d }, { of: ({ g }) => g, colour: colours.g }]);
      side.share.setAttribute("aria-label", `In per cent over the iterations: points near a mode, now ${percent(frame.good)}; modes found, now ${frame.modes} of ${side.centres}`);
      side.losses.setAttribute("aria-label", `Over the iterations: D’s loss, now ${number(frame.d)}; G’s loss, now ${number(frame.g)}`);
    });
    if (fresher) {
      root.dataset.rate = Math.round(fresher.rate);
      root.dataset.iteration = fresher.sides[0].iteration;
      root.dataset.version = fresher.version;
    }
    root.dataset.drawn = ++drawings;
    if (playing && fresher?.rate && !small) status.textContent = "";
    rateSaid.textContent = playing && fresher?.rate ? `${Math.round(fresher.rate).toLocaleString("en")} iterations a second` : "";
  }
  const rateSaid = make("p", { class: "lab-rate", "aria-hidden": "true" });

  const where = ({ frame, centres }) => blank() ? "An empty square, to draw points in" :
    `Iteration ${frame.iteration.toLocaleString("en")}: ${frame.modes} of ${centres} ` +
    `${state.sides[0].data === "drawn" ? "points reached" : "modes found"}, ${percent(frame.good)} of the generated points near one`;
  function sayWhere() {
    const shown = used().filter(({ frame }) => frame);
    status.textContent = shown.map((side, i) => `${state.compare ? `${"AB"[i]}: ` : ""}${where(side)}.`).join(" ");
  }

  // --- Points of the reader's own ---

  function drawable(side) {
    const { canvas } = side, drawing = () => state.sides[0].data === "drawn";
    let last = null;
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      return [(2 * (event.clientX - box.left) / box.width - 1) * REACH, (1 - 2 * (event.clientY - box.top) / box.height) * REACH];
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (!drawing() || event.button) return;
      canvas.setPointerCapture(event.pointerId);
      last = at(event);
      add(last);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!last) return;
      const point = at(event);
      if (Math.hypot(point[0] - last[0], point[1] - last[1]) < 0.06) return;
      last = point;
      add(point);
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { last = null; });
    canvas.addEventListener("focus", () => {
      if (canvas.matches(":focus-visible")) cursor ??= [0, 0];
      paint();
    });
    canvas.addEventListener("blur", () => { cursor = null; paint(); });
    canvas.addEventListener("keydown", (event) => {
      if (!drawing()) return;
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      cursor ??= [0, 0];
      if (way) cursor = cursor.map((x, i) => Math.min(Math.max(x + STEP * way[i], -REACH), REACH));
      else if (event.key === " " || event.key === "Enter") add(cursor);
      else if (event.key === "Backspace") {
        state.points.pop();
        taught();
      } else return;
      event.preventDefault();
      paint();
    });
  }
  function add(point) {
    if (Math.max(...point.map(Math.abs)) > REACH || state.points.length >= MOST_POINTS) return;
    state.points.push(rounded(point));
    taught();
  }
  // New points are learnt at once, without a new beginning; a link, and Restart, begin with all of them.
  function taught() {
    const data = dataSet({ data: "drawn", points: state.points });
    const real = draw(data, REAL, randomNumbers(state.seed, 9)).points;
    for (const side of used()) Object.assign(side, { real: blank() ? [] : real, centres: blank() ? 0 : data.centres.length });
    worker.postMessage({ type: "points", points: state.points });
    sayState();
    tell();
    paint();
  }

  // --- Together ---

  const legend = make("p", { class: "lab-legend" },
    make("span", { class: "lab-key-real" }, "real"), make("span", { class: "lab-key-g" }, "generated"),
    make("span", { class: "lab-key-d" }, "the more, the more real to D"), make("span", { class: "lab-key-arrow" }, "where the loss pulls G’s points"));
  root.classList.toggle("lab-small", small);
  root.replaceChildren(...(small ? [] : [presets]), make("div", { class: "lab-bench" },
    make("div", { class: "lab-stage" }, transport, make("div", { class: "lab-sides" }, ...sides.map(({ element }) => element)), legend,
      make("div", { class: "lab-said" }, status, rateSaid)), settings));

  const recolour = () => { colours = null; paint(); };
  new MutationObserver(recolour).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  new ResizeObserver(() => paint()).observe(root);
  new IntersectionObserver(([entry]) => { inView = entry.isIntersecting; rest(); }).observe(root);
  document.addEventListener("visibilitychange", rest);
  still.addEventListener("change", () => go(false));
  if (!small) {
    addEventListener("hashchange", () => {
      const linked = fromLink();
      if (!linked) return;
      state = linked;
      editing = state.compare ? 1 : 0;
      changed();
    });
  }
  changed();
}
