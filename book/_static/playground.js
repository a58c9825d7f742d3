// The playground: the reader chooses, generator.js draws. Every <div class="playground"> becomes one,
// once its reader asks; until then, and where scripts are off, it shows what the page has put there.
// With the class "playground-row" it is the small one: a row of ten digits and a button for new z.
// With "playground-codes" it offers only models with codes, and opens on a row of them.

(() => {
  "use strict";
  const MODELS = new URL("models/", document.currentScript.src);
  const SEEDS = 10000;  // New z picks a seed below it: short enough to tell a friend
  const OFF = 4;  // a truncation where next to nothing is cut
  const STEPS = 9;  // pictures on the strip below a walk

  // --- A little DOM --------------------------------------------------------------------------

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

  const nextFrame = () => new Promise(requestAnimationFrame);

  // --- What the page knows of models ---------------------------------------------------------

  let index;  // a promise of the list; asked for once, and again after a failure
  const listModels = () => (index ??= Digits.index(MODELS).catch((error) => {
    index = undefined;
    throw error;
  }));
  const loaded = new Map();  // by name, shared by all playgrounds of the page

  // The models that a playground offers.
  const offered = (root, entries) => root.classList.contains("playground-codes")
    ? entries.filter(({ continuous }) => continuous) : entries;

  async function loadModel(entry, onProgress) {
    if (!loaded.has(entry.name)) {
      loaded.set(entry.name, await Digits.load(MODELS, entry, onProgress));
    }
    return loaded.get(entry.name);
  }

  // "CGAN"; with the run's name where several runs of one kind are on offer.
  const titled = (entry, entries) =>
    entries.filter(({ title }) => title === entry.title).length > 1
      ? `${entry.title} (${entry.name})` : entry.title;

  const megabytes = (entry) => `${(entry.bytes / 1e6).toFixed(1)} MB`;

  // --- Before the first digit: a button ------------------------------------------------------

  function offer(root) {
    const button = make("button", { type: "button", class: "pg-button pg-start" }, "Start the generator");
    const progress = make("progress", { max: 1, value: 0, hidden: true, "aria-label": "Loading" });
    const message = make("p", { class: "pg-message", role: "status" });
    if (root.classList.contains("playground-row")) root.replaceChildren();  // a line for no scripts
    root.append(make("div", { class: "pg-offer" }, button, progress, message));
    // The index is small; with it the button can say beforehand what a press will cost.
    listModels().then((entries) => {
      const [entry] = offered(root, entries);
      if (entry && !button.disabled) button.textContent += ` (${megabytes(entry)})`;
    }, () => {});

    button.addEventListener("click", async () => {
      button.disabled = true;
      message.textContent = "";
      try {
        const entries = offered(root, await listModels());
        const [entry] = entries;
        if (!entry) throw new Error("this copy of the book was built without models");
        button.textContent = `Loading ${megabytes(entry)} …`;
        progress.hidden = false;
        const model = await loadModel(entry, (part) => { progress.value = part; });
        open(root, entries, model);
      } catch (error) {
        const why = location.protocol === "file:"
          ? "a page opened as a file may not load weights. Serve the book's folder instead: " +
            "python -m http.server --directory _build/html"
          : error.message;
        message.textContent = `The generator did not come: ${why}.`;
        progress.hidden = true;
        button.textContent = "Try again";
        button.disabled = false;
        button.focus();
      }
    });
  }

  // --- The playground itself -----------------------------------------------------------------

  function open(root, entries, model) {
    const small = root.classList.contains("playground-row");
    const ofCodes = root.classList.contains("playground-codes");
    const state = {
      view: small || ofCodes ? "row" : "one", digit: 7, seed: 0, end: 1, part: 0, limit: OFF,
      c1: 0, c2: 0,
    };
    let turn = 0;  // of the drawing at work; an older one stops when it sees a newer

    // What is drawn, and from what. Cells are [z, label]; a seed beyond the last goes on counting.
    const z = (seed) => Digits.noise(seed, model.latent_dim, state.limit < OFF ? state.limit : Infinity);
    // z with the continuous codes, its first numbers, as the sliders have them.
    const coded = (z) => {
      [state.c1, state.c2].slice(0, model.continuous ?? 0).forEach((code, i) => { z[i] = code; });
      return z;
    };
    const ten = Array.from({ length: 10 }, (_, i) => i);
    const views = {
      one: {
        title: "One digit",
        cells: () => [[z(state.seed), state.digit]],
        tell: () => `${what()} from seed ${state.seed}`,
      },
      walk: {
        title: "Walk",
        cells: () => [[Digits.between(z(state.seed), z(state.end), state.part), state.digit]],
        tell: () => `${what()} ${percent()} of the way from seed ${state.seed} to seed ${state.end}`,
      },
      row: {
        title: "Row",
        cells: () => model.conditional
          ? ten.map((digit) => [z(state.seed), digit])
          : ten.map((i) => [z(state.seed + i), 0]),
        tell: () => model.conditional
          ? `one z, from seed ${state.seed}, as all ten ${kinds()}`
          : `ten z, from seeds ${state.seed} to ${state.seed + 9}`,
      },
      sheet: {
        title: "Sheet",
        cells: () => model.conditional
          ? ten.flatMap((i) => { const row = z(state.seed + i); return ten.map((d) => [row, d]); })
          : Array.from({ length: 100 }, (_, i) => [z(state.seed + i), 0]),
        tell: () => model.conditional
          ? `ten rows, one z each, from seeds ${state.seed} to ${state.seed + 9}; ten ${kinds()}`
          : `a hundred z, from seeds ${state.seed} to ${state.seed + 99}`,
      },
    };
    const kinds = () => (model.continuous ? "codes" : "digits");
    const what = () => (model.continuous ? `code ${state.digit}`
      : model.conditional ? `a ${state.digit}` : "what it likes,");
    const signed = (code) => code.toFixed(2).replace("-", "−");
    const codes = () => (model.continuous ? `, continuous codes ${signed(state.c1)} and ${signed(state.c2)}` : "");
    const percent = () => `${Math.round(100 * state.part)} %`;
    const within = () => (state.limit < OFF ? `, z within ± ${state.limit.toFixed(1)}` : "");

    // Controls. Each changes the state and draws; which are shown depends on model and view.
    const canvas = make("canvas", { role: "img" });
    const strip = make("canvas", { role: "img", class: "pg-strip" });
    const caption = make("p", { class: "pg-caption", role: "status" });
    const time = make("p", { class: "pg-time" });

    const choice = (name, options, chosen, onchange) => options.map(([value, text]) =>
      make("label", { class: "pg-chip" },
        make("input", { type: "radio", name: `${name}-${root.dataset.number}`, value,
          checked: value === chosen, onchange: () => { onchange(value); refresh(); } }),
        make("span", {}, text)));

    function seedField(key, text, again) {
      const input = make("input", { type: "number", min: 0, step: 1, inputmode: "numeric" });
      input.value = state[key];
      input.addEventListener("change", () => {
        const seed = Math.trunc(Number(input.value));
        if (input.value !== "" && seed >= 0 && seed < 2 ** 32) state[key] = seed;
        input.value = state[key];  // what is no seed gives way to the one before
        refresh();
      });
      const button = make("button", { type: "button", class: "pg-button", onclick: () => {
        state[key] = Math.floor(Math.random() * SEEDS);
        input.value = state[key];
        refresh();
      } }, again);
      return make("div", { class: "pg-field" }, make("label", {}, text, input), button);
    }

    function slider(key, text, settings, tell) {
      const id = `${key}-${root.dataset.number}`;
      const input = make("input", { type: "range", id, ...settings });
      const said = make("span", { "aria-hidden": "true" });  // the slider itself says it
      const say = () => {
        said.textContent = tell(state[key]);
        input.setAttribute("aria-valuetext", said.textContent);
      };
      input.value = state[key];
      input.addEventListener("input", () => {
        state[key] = Number(input.value);
        say();
        draw({ strip: key !== "part" });
      });
      input.addEventListener("change", tellWhat);  // on letting go, so that it is read out once
      say();
      return make("div", { class: "pg-slider" }, make("label", { for: id }, text), said, input);
    }

    const picker = make("select", { onchange: () => choose(picker.value) });
    for (const { name, title, epochs } of entries) {
      picker.append(make("option", { value: name, selected: name === model.name },
        `${titled({ name, title }, entries)}, ${epochs} epochs`));
    }
    const legend = make("legend", {});
    const digits = make("fieldset", { class: "pg-digits" }, legend,
      ...choice("digit", ten.map((d) => [d, d]), state.digit, (digit) => { state.digit = digit; }));
    const free = make("p", { class: "pg-free" }, "This model knows no labels: which digit comes, z alone decides.");
    const show = make("fieldset", {}, make("legend", {}, "Show"),
      ...choice("view", Object.entries(views).map(([key, { title }]) => [key, title]), state.view,
        (view) => { state.view = view; }));
    const seed = seedField("seed", "Seed of z", "New z");
    const end = seedField("end", "Second seed", "New second z");
    const way = slider("part", "Way from the first z to the second",
      { min: 0, max: 1, step: 0.01 }, percent);
    const [first, second] = [["c1", "First continuous code"], ["c2", "Second continuous code"]].map(
      ([key, text]) => slider(key, text, { min: -1, max: 1, step: 0.05 }, signed));
    const limit = slider("limit", "Truncation: z within",
      { min: 0.1, max: OFF, step: 0.1 }, (at) => (at < OFF ? `± ${at.toFixed(1)}` : "no limit"));
    const save = make("button", { type: "button", class: "pg-button", onclick: savePicture }, "Save as PNG");

    const controls = small
      ? [seed]
      : [...(entries.length > 1 ? [make("label", { class: "pg-field" }, "Model", picker)] : []),
        show, digits, free, first, second, seed, end, way, limit, save];
    root.replaceChildren(make("div", { class: "pg-app" },
      make("div", { class: "pg-stage", tabindex: -1 }, canvas, strip, caption, time),
      make("form", { class: "pg-controls", onsubmit: (event) => event.preventDefault() }, ...controls)));
    refresh();
    root.querySelector(".pg-stage").focus({ preventScroll: true });  // the next Tab is the first control
    // On a phone the stage stays on top: from its own place on, it covers no control.
    if (!small && matchMedia("(max-width: 640px)").matches) root.scrollIntoView();

    async function choose(name) {
      const entry = entries.find((one) => one.name === name);
      try {
        const chosen = await loadModel(entry, (part) => {
          time.textContent = `Loading ${name}, ${megabytes(entry)}: ${Math.round(100 * part)} %`;
        });
        if (picker.value !== name) return;  // the reader has chosen again meanwhile
        model = chosen;
        time.textContent = "";
        refresh();
      } catch (error) {
        if (picker.value !== name) return;
        picker.value = model.name;
        time.textContent = "";
        caption.textContent = `${name} did not come: ${error.message}. ${model.name} is still here.`;
      }
    }

    function refresh() {
      const walking = state.view === "walk", single = walking || state.view === "one";
      strip.hidden = end.hidden = way.hidden = !walking;
      digits.hidden = !single || !model.conditional;
      free.hidden = model.conditional;
      first.hidden = second.hidden = !model.continuous;
      legend.textContent = model.continuous ? "Code of ten" : "Digit";
      canvas.className = `pg-${state.view}`;
      tellWhat();
      draw({ strip: walking });
    }

    function tellWhat() {
      const text = `${titled(model, entries)} draws ${views[state.view].tell()}${codes()}${within()}.`;
      caption.textContent = text;
      canvas.setAttribute("aria-label", text);
    }

    // --- Drawing ---

    async function draw(which) {
      const mine = ++turn, started = performance.now(), { cells } = views[state.view];
      if (!(await paint(canvas, cells(), mine))) return;
      const took = performance.now() - started;
      time.textContent = `Drawn here, in ${took < 100 ? took.toFixed(1) : Math.round(took)} ms.`;
      root.dataset.drawn = mine;
      if (which.strip && state.view === "walk") {
        const a = z(state.seed), b = z(state.end);
        const parts = Array.from({ length: STEPS }, (_, i) => i / (STEPS - 1));
        strip.setAttribute("aria-label", `${STEPS} steps of the walk`);
        await paint(strip, parts.map((part) => [Digits.between(a, b, part), state.digit]), mine);
      }
    }

    // Paints cells in rows of ten, one after the other; lets the page breathe between, and stops,
    // returning false, when a newer drawing has begun.
    async function paint(target, cells, mine) {
      const [, height, width] = model.image_shape, columns = Math.min(cells.length, 10);
      const size = [columns * width, Math.ceil(cells.length / 10) * height];
      if (target.width !== size[0] || target.height !== size[1]) [target.width, target.height] = size;
      const context = target.getContext("2d"), picture = context.createImageData(width, height);
      let breath = performance.now();
      for (const [i, [noise, label]] of cells.entries()) {
        if (performance.now() - breath > 12) {
          await nextFrame();
          if (mine !== turn) return false;
          breath = performance.now();
        }
        model.draw(coded(noise), label).forEach((value, at) => {
          const grey = Math.round(127.5 * (value + 1));
          picture.data.set([grey, grey, grey, 255], 4 * at);
        });
        context.putImageData(picture, (i % 10) * width, Math.floor(i / 10) * height);
      }
      return true;
    }

    // What is on show, in the name too, so that two pictures do not get the same one.
    function fileName() {
      const parts = [model.name, state.view];
      if (model.conditional && !digits.hidden) parts.push(`${model.continuous ? "code" : "digit"}${state.digit}`);
      if (model.continuous) parts.push(`at${state.c1.toFixed(2)}and${state.c2.toFixed(2)}`);
      parts.push(`seed${state.seed}`);
      if (state.view === "walk") parts.push(`to${state.end}`, `at${Math.round(100 * state.part)}`);
      if (state.limit < OFF) parts.push(`within${state.limit.toFixed(1)}`);
      return parts.join("-");
    }

    // What is on show, enlarged to at least 256 pixels a side, without smoothing.
    function savePicture() {
      const times = Math.ceil(256 / Math.min(canvas.width, canvas.height));
      const large = make("canvas", { width: canvas.width * times, height: canvas.height * times });
      const context = large.getContext("2d");
      context.imageSmoothingEnabled = false;
      context.drawImage(canvas, 0, 0, large.width, large.height);
      large.toBlob((blob) => {
        const link = make("a", { href: URL.createObjectURL(blob),
          download: `${fileName()}.png` });
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 1000);
      }, "image/png");
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll(".playground").forEach((root, number) => {
      root.dataset.number = number;
      offer(root);
    });
  });
})();
