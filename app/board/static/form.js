/* The Train form: filled and read as one JSON text, problems beside their fields, search, a draft. */
(function () {
  "use strict";
  const $ = (selector, root) => (root || document).querySelector(selector);
  const $$ = (selector, root) => [...(root || document).querySelectorAll(selector)];
  let applied = "", filled = "", values = null, searched = null;

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

  /* What goes to the server travels through a text field of Gradio's that nobody sees. */
  function tell(id, text) {
    const box = $(`#${id} textarea, #${id} input`);
    if (!box) return;
    box.value = text;
    box.dispatchEvent(new Event("input", { bubbles: true }));
  }
  function push() {
    if (!values) return;
    tell("train-values", JSON.stringify(values));
    const query = new URLSearchParams(location.search);
    const address = Object.fromEntries(["clone", "preset", "data", "rate", "model"]
      .map((key) => [key, query.get(key) || ""]));
    try {
      sessionStorage.setItem("finestra_draft", JSON.stringify({ address, values }));
    } catch { /* private window */ }
  }
  function ask(what) { tell("train-ask", JSON.stringify({ ...what, at: Date.now() })); }

  /* The server's word on what stands in the form: at the start, from a recipe, from a paste. */
  function fill() {
    const element = $("#train-filled");
    if (!element || element.dataset.filled === filled) return;
    filled = element.dataset.filled;
    const told = JSON.parse(filled);
    Object.assign(window.finestraFields.known, told.known);
    values = { ...values, ...told.values };
    $$("[data-path][data-done]").forEach((field) => field.removeAttribute("data-done"));
    const preset = $("#train-preset-in");
    if (preset && told.preset !== undefined) { preset.value = told.preset; aboutPreset(); }
    draw();
    push();
  }
  function draw() {
    if (!values) return;
    $$("#train-form [data-path]:not([data-done])").forEach((field) => {
      if (field.dataset.path in values) window.finestraFields.write(field, values[field.dataset.path]);
    });
  }
  function take(field) {
    if (!values || !field?.dataset.path) return;
    values[field.dataset.path] = window.finestraFields.read(field);
    if (field.dataset.path === "objective") {
      window.finestraFields.describe(field);
      window.finestraFields.refit();
    }
    push();
  }

  /* Text beside the field, tied to it for screen readers. */
  function complain(field, lines) {
    let spot = field.querySelector(":scope > .f-error");
    if (!lines && !spot) return;
    const input = field.querySelector("input, textarea, select");
    const described = field.id + "-help";
    if (!lines) {
      spot.remove();
      input?.removeAttribute("aria-invalid");
      input?.setAttribute("aria-describedby", described);
      field.removeAttribute("data-wrong");
      return;
    }
    if (!spot) {
      spot = document.createElement("p");
      spot.className = "f-error";
      spot.id = field.id + "-error";
      field.append(spot);
    }
    const words = lines.join("\n");
    if (spot.textContent !== words) spot.textContent = words;
    field.setAttribute("data-wrong", "");
    input?.setAttribute("aria-invalid", "true");
    input?.setAttribute("aria-describedby", `${spot.id} ${described}`);
  }

  function apply() {
    const element = $("#train-state");
    if (!element || applied === element.dataset.state) return;
    applied = element.dataset.state;
    const state = JSON.parse(applied), hidden = new Set(state.hidden);
    $$("#train-form [data-path]").forEach((field) => {
      complain(field, state.problems[field.id]);
      field.toggleAttribute("data-off", hidden.has(field.id) && !state.problems[field.id]);
    });
    window.finestraFields.known.consents = state.consents || {};
    $$("[data-kind=rewards]").forEach(window.finestraFields.consent);
    search(true);
  }

  function search(again) {
    const box = $("#train-search");
    if (!box || (!again && box.value === searched)) return;
    searched = box.value;
    const words = box.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    $$("#train-advanced-card .f-section").forEach((section) => {
      let here = 0;
      $$("[data-path]", section).forEach((field) => {
        field.searched ??= (field.dataset.path + " " + field.textContent).toLowerCase();
        const fits = words.every((word) => field.searched.includes(word));
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
    if (field.hasAttribute("data-nomatch")) { $("#train-search").value = ""; search(); }
    field.scrollIntoView({ block: "center" });
    const input = ["input[role=combobox], input:checked", "input, textarea, select", "button"]
      .map((kind) => field.querySelector(kind)).find(Boolean);
    input?.focus({ preventScroll: true });
  }
  /* A script that the server wrote is handed over as a file. */
  function handOver() {
    const element = $("#train-script-made");
    if (!element || element.dataset.taken) return;
    element.dataset.taken = "yes";
    const told = JSON.parse(element.dataset.script);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([told.text], { type: "text/x-python" }));
    link.download = told.name;
    link.click();
    URL.revokeObjectURL(link.href);
  }
  function aboutPreset() {
    const select = $("#train-preset-in"), about = $("#train-preset-about");
    if (select && about) about.textContent = select.selectedOptions[0]?.dataset.about || "";
  }

  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-view], [data-field], #train-find-lr, #train-script");
    if (!target) return;
    if (target.id === "train-find-lr") ask({ do: "find" });
    else if (target.id === "train-script") ask({ do: "script" });
    else if (target.dataset.view) setView(target.dataset.view);
    else { event.preventDefault(); go(target.dataset.field); }
  });
  document.addEventListener("input", (event) => {
    const target = event.target;
    if (target.id === "train-search") search();
    else if (target.closest("[data-kind=datasets]")) return;
    else if (target.id !== "train-preset-in") take(target.closest("#train-form [data-path]"));
  });
  document.addEventListener("change", (event) => {
    if (event.target.id !== "train-preset-in") return;
    aboutPreset();
    ask({ do: "preset", name: event.target.value });
  });
  document.addEventListener("finestra-field", (event) => take(event.target));
  /* For the other forms, which have a script of their own. */
  window.finestraFormTools = { tell, complain };
  window.finestraForm = function () {
    if (!$("#train-form")) return;
    $$(".f-away").forEach((box) => { box.setAttribute("aria-hidden", "true"); });
    showView(); fill(); draw(); apply(); handOver();
  };
})();
