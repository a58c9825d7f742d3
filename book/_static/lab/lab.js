// Opens the laboratory where a page has one: every <div class="laboratory"> becomes one; with
// data-lab="small" the small one, of a ring, a loss and batch norm's eps. Other pages load nothing else.

(() => {
  "use strict";
  const app = new URL("app.js", document.currentScript.src).href;
  document.addEventListener("DOMContentLoaded", async () => {
    const roots = [...document.querySelectorAll(".laboratory")];
    if (!roots.length) return;
    try {
      if (location.protocol === "file:") {
        throw new Error("a page opened as a file may not start it. Serve the book’s folder instead: " +
          "python -m http.server --directory _build/html");
      }
      const { open } = await import(app);
      roots.forEach(open);
    } catch (error) {
      for (const root of roots) {
        const message = document.createElement("p");
        message.className = "lab-message";
        message.setAttribute("role", "status");
        message.textContent = `The laboratory did not open: ${error.message}`;
        root.append(message);
      }
    }
  });
})();
