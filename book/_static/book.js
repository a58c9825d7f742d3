// embed.js, which shows the saved widgets, asks MathJax 2 to typeset every label. The pages have
// MathJax 3, where that call would raise an error; the labels hold no formulas, so nothing is lost.
window.addEventListener("load", () => {
  if (window.MathJax && !window.MathJax.Hub) window.MathJax.Hub = { Queue() {} };
});

// Saved widgets say too little to who cannot see them. A slider's handle takes the name and the
// value that stand beside it, and the picture below tells which one it is: "digit 3, epoch 25",
// and of whom, where several stand below each other, each under a name.
function describeWidgets(cell) {
  const settings = [...cell.querySelectorAll(".widget-slider")].map((slider) => {
    const name = slider.querySelector(".widget-label")?.textContent ?? "";
    const value = slider.querySelector(".widget-readout")?.textContent ?? "";
    const handle = slider.querySelector(".noUi-handle");
    handle?.setAttribute("aria-label", name);
    handle?.setAttribute("aria-valuetext", value);
    return `${name} ${value}`;
  });
  for (const picture of cell.querySelectorAll("img.widget-image")) {
    const name = picture.closest(".widget-vbox")?.querySelector(":scope > .widget-html");
    picture.alt = `Images at ${settings.join(", ")}${name ? `: ${name.textContent.trim()}` : ""}`;
  }
}

// Links to the glossary come with the definition as their title (book/_ext/reading.py). A title
// shows to the mouse only; here it becomes a box that keyboards reach too, and Escape hides.
function explainTerm(link, number) {
  const box = document.createElement("span");
  box.id = `term-${number}`;
  box.className = "book-definition";
  box.setAttribute("role", "tooltip");
  box.textContent = link.title;
  link.removeAttribute("title");
  link.setAttribute("aria-describedby", box.id);
  const term = document.createElement("span"); // around both, so that the mouse can enter the box
  term.className = "book-term";
  link.replaceWith(term);
  term.append(link, box);
  const show = () => {
    term.classList.add("shown");
    term.classList.remove("above");
    box.style.translate = ""; // then back onto the page, if it is too far right or too low
    const place = box.getBoundingClientRect(), page = document.documentElement;
    const beyond = place.right - page.clientWidth + 8;
    if (beyond > 0) box.style.translate = `${-beyond}px`;
    term.classList.toggle("above", place.bottom > page.clientHeight);
  };
  let tapped = false;  // where nothing hovers, a first tap shows the box and a second one follows
  const hide = () => {
    term.classList.remove("shown");
    tapped = false;
  };
  link.addEventListener("click", (event) => {
    if (tapped || !matchMedia("(hover: none)").matches) return;
    event.preventDefault();
    tapped = true;
    show();
  });
  term.addEventListener("mouseenter", show);
  term.addEventListener("mouseleave", hide);
  link.addEventListener("focus", show);
  link.addEventListener("blur", hide);
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
}

// A figure's text is small on a small screen: the figure leads to itself in full size.
function linkToFullSize(picture) {
  const link = document.createElement("a");
  link.href = picture.src;
  link.className = "book-full";
  const figure = picture.closest("picture") ?? picture; // which has a narrow drawing, too
  figure.replaceWith(link);
  link.append(figure);
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("a[title]:has(.std-term)").forEach(explainTerm);
  document.querySelectorAll(":is(.cell_output, .cell_output > .output) > :is(picture, img)").forEach(
    (figure) => linkToFullSize(figure.querySelector("img") ?? figure),
  );
  for (const cell of document.querySelectorAll(".cell_output")) {
    // Attributes are not observed, so what is set above does not call this again.
    const observer = new MutationObserver(() => describeWidgets(cell));
    observer.observe(cell, { childList: true, subtree: true, characterData: true });
  }
});

// A formula that is too wide scrolls, so the keyboard must be able to reach it.
window.addEventListener("load", () => window.MathJax?.startup?.promise.then(() => {
  for (const formula of document.querySelectorAll("div.math")) {
    if (formula.scrollWidth > formula.clientWidth) formula.tabIndex = 0;
  }
}));

// Paper is white: what is printed is the light theme.
let themeOnScreen;
window.addEventListener("beforeprint", () => {
  themeOnScreen = document.documentElement.dataset.theme;
  document.documentElement.dataset.theme = "light";
});
window.addEventListener("afterprint", () => {
  document.documentElement.dataset.theme = themeOnScreen;
});
