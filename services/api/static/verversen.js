// Fetches the page again every 10 seconds and replaces the content, unless the reader stopped it or is busy in it.
"use strict";
(() => {
  const everyMs = 10000;
  const key = "relatieboek-verversen";
  const on = () => sessionStorage.getItem(key) !== "uit";

  function control() {
    const place = document.getElementById("verversen");
    if (!place) return;
    const button = place.querySelector("button");
    const label = () => { button.textContent = on() ? place.dataset.off : place.dataset.on; };
    place.hidden = false;
    label();
    button.addEventListener("click", () => {
      sessionStorage.setItem(key, on() ? "uit" : "aan");
      label();
    });
  }

  async function refresh() {
    const main = document.querySelector("main");
    const busy = main.contains(document.activeElement) && document.activeElement !== main;
    if (!on() || document.hidden || busy || String(getSelection())) return;
    const answer = await fetch(location.href, { credentials: "same-origin" });
    if (!answer.ok) return;
    const next = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
    main.replaceChildren(...next.childNodes);
    control();
  }

  control();
  setInterval(() => { refresh().catch(() => undefined); }, everyMs);
})();
