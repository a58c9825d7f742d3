// embed.js, which shows the saved widgets, asks MathJax 2 to typeset every label. The pages have
// MathJax 3, where that call would raise an error; the labels hold no formulas, so nothing is lost.
window.addEventListener("load", () => {
  if (window.MathJax && !window.MathJax.Hub) window.MathJax.Hub = { Queue() {} };
});
