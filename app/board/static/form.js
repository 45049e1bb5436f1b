/* The Train form: problems beside their fields, fields that matter, search, a draft that is kept. */
(function () {
  "use strict";
  const $ = (selector, root) => (root || document).querySelector(selector);
  const $$ = (selector, root) => [...(root || document).querySelectorAll(selector)];
  let applied = "";

  function view() {
    try { return localStorage.getItem("finestra_view") || "basic"; } catch { return "basic"; }
  }
  function setView(name) {
    try { localStorage.setItem("finestra_view", name); } catch { /* private window */ }
    showView();
  }
  function showView() {
    const card = $("#train-advanced-card");
    if (!card) return;
    card.toggleAttribute("data-off", view() !== "advanced");
    $$(".f-views [data-view]").forEach((button) => {
      button.setAttribute("aria-pressed", String(button.dataset.view === view()));
    });
  }

  /* Text beside the field, tied to it for screen readers. */
  function complain(field, lines) {
    let spot = field.querySelector(":scope > .f-error");
    const input = field.querySelector("input, textarea");
    if (!lines) {
      spot?.remove();
      input?.removeAttribute("aria-invalid");
      input?.removeAttribute("aria-describedby");
      field.removeAttribute("data-wrong");
      return;
    }
    if (!spot) {
      spot = document.createElement("p");
      spot.className = "f-error";
      spot.id = field.id + "-error";
      field.append(spot);
    }
    const words = lines.join(" ");
    if (spot.textContent !== words) spot.textContent = words;
    field.setAttribute("data-wrong", "");
    input?.setAttribute("aria-invalid", "true");
    input?.setAttribute("aria-describedby", spot.id);
  }

  function apply() {
    const element = $("#train-state");
    if (!element) return;
    const state = JSON.parse(element.dataset.state);
    const hidden = new Set(state.hidden);
    $$(".f-field").forEach((field) => {
      complain(field, state.problems[field.id]);
      field.toggleAttribute("data-off", hidden.has(field.id));
    });
    if (applied !== element.dataset.state) {
      applied = element.dataset.state;
      const query = new URLSearchParams(location.search);
      const address = { clone: query.get("clone") || "", preset: query.get("preset") || "",
        data: query.get("data") || "" };
      try {
        sessionStorage.setItem("finestra_draft", JSON.stringify({ address, values: state.values }));
      } catch { /* private window */ }
    }
    search();
  }

  function search() {
    const box = $("#train-search");
    if (!box) return;
    const words = box.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    $$("#train-advanced-card .f-section").forEach((section) => {
      let here = 0;
      $$(".f-field", section).forEach((field) => {
        const text = (field.id + " " + field.textContent).toLowerCase();
        const fits = words.every((word) => text.includes(word));
        field.toggleAttribute("data-nomatch", !fits);
        if (fits && !field.hasAttribute("data-off")) here += 1;
      });
      section.toggleAttribute("data-off", !here);
      shown += here;
    });
    $("#train-no-field").hidden = shown > 0;
  }

  function go(id) {
    const field = document.getElementById(id);
    if (!field) return;
    if (field.closest("#train-advanced-card")) setView("advanced");
    field.scrollIntoView({ block: "center" });
    field.querySelector("input, textarea, button")?.focus({ preventScroll: true });
  }

  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-view], [data-field]");
    if (!target) return;
    if (target.dataset.view) setView(target.dataset.view);
    else { event.preventDefault(); go(target.dataset.field); }
  });
  document.addEventListener("input", (event) => {
    if (event.target.id === "train-search") search();
  });
  window.finestraForm = function () { showView(); apply(); };
})();
