/* Forms of runs that do not train: filled and read as one JSON text, problems beside their fields. */
(function () {
  "use strict";
  const $ = (selector, root) => (root || document).querySelector(selector);
  const $$ = (selector, root) => [...(root || document).querySelectorAll(selector)];
  const make = (tag, props, ...children) => {
    const element = Object.assign(document.createElement(tag), props);
    element.append(...children);
    return element;
  };
  const KEPT = "finestra_kind_draft", MOST = 16, LEAST = 2;
  const fields = () => $$("#kind-form [data-path]");
  const address = () => location.pathname.split("/").pop() + location.search;
  let filled = "", applied = "", values = null, words = {};

  function read(field) {
    if (field.dataset.kind === "options") return $$("input:checked", field).map((one) => one.value);
    if (field.dataset.kind === "option") return $("input:checked", field)?.value ?? "";
    if (field.dataset.kind === "consent") return $("input", field).checked ? field.dataset.digest || "" : "";
    if (field.dataset.kind === "sources") {
      return $$(".f-merge-use", field).map((row) => ({
        name: $("[role=combobox]", row).value, weight: $(".f-merge-weight", row).value }));
    }
    return window.finestraFields.read(field);
  }
  function write(field, raw) {
    if (["options", "option"].includes(field.dataset.kind)) {
      const wanted = new Set([raw].flat());
      $$("input", field).forEach((one) => { one.checked = wanted.has(one.value); });
    } else if (field.dataset.kind === "sources") {
      $(".f-merge-rows", field).replaceChildren(...raw.map(row));
      renumber(field);
    } else if (field.dataset.kind === "consent") {
      if (raw) field.dataset.digest = raw;
      $("input", field).checked = !!raw;
    } else window.finestraFields.write(field, raw);
  }

  /* The models that are merged: a row each. */
  function row(use) {
    const name = make("input", { type: "text", value: use.name, placeholder: words.hint });
    for (const [key, value] of [["role", "combobox"], ["aria-expanded", "false"],
      ["aria-autocomplete", "list"], ["autocomplete", "off"], ["spellcheck", "false"]]) name.setAttribute(key, value);
    const list = make("ul", { className: "f-list-of", hidden: true, tabIndex: -1 });
    list.setAttribute("role", "listbox");
    const weight = make("input", { type: "text", className: "f-merge-weight", value: use.weight, inputMode: "decimal" });
    weight.setAttribute("autocomplete", "off");
    const remove = make("button", { type: "button", className: "f-x", textContent: "×" });
    remove.addEventListener("click", () => {
      const field = remove.closest("[data-path]");
      remove.closest(".f-merge-use").remove();
      renumber(field);
      take(field);
      $("#merge-add").focus();
    });
    return make("div", { className: "f-merge-row f-merge-use" }, make("div", { className: "f-combo" }, name, list),
      weight, remove, make("p", { className: "f-error", hidden: true }));
  }
  function renumber(field) {
    const rows = $$(".f-merge-use", field);
    rows.forEach((one, at) => {
      const list = $(".f-list-of", one), name = $("[role=combobox]", one);
      list.id = `merge-source-${at}-list`;
      name.id = `merge-source-${at}`;
      name.setAttribute("aria-controls", list.id);
      name.setAttribute("aria-label", `${words.model} ${at + 1}`);
      list.setAttribute("aria-label", `${words.model} ${at + 1}`);
      $(".f-merge-weight", one).id = `merge-weight-${at}`;
      $(".f-merge-weight", one).setAttribute("aria-label", `${words.share} ${at + 1}`);
      $(".f-x", one).setAttribute("aria-label", `${words.remove} ${at + 1}`);
      $(".f-x", one).hidden = rows.length <= LEAST;
    });
    $("#merge-add").disabled = rows.length >= MOST;
  }

  /* What goes to the server, and what is kept for a refresh. */
  function push() {
    window.finestraFormTools.tell("kind-values", JSON.stringify(values));
    try {
      sessionStorage.setItem(KEPT, JSON.stringify({ address: address(), values }));
    } catch { /* private window */ }
  }
  function kept() {
    try {
      const found = JSON.parse(sessionStorage.getItem(KEPT) || "null");
      return found?.address === address() ? found.values : null;
    } catch { return null; }
  }
  function fill() {
    const element = $("#kind-filled");
    if (!element || element.dataset.filled === filled || !fields().length) return;
    filled = element.dataset.filled;
    const told = JSON.parse(filled), draft = kept();
    words = told.words;
    Object.assign(window.finestraFields.known.choices, told.known);
    values = { ...told.values, ...draft };
    $("#kind-draft").hidden = !draft || JSON.stringify(values) === JSON.stringify(told.values);
    fields().forEach((field) => {
      if (field.dataset.path in values) write(field, values[field.dataset.path]);
    });
    push();
  }
  function take(field) {
    if (!values || !field) return;
    values[field.dataset.path] = read(field);
    push();
  }

  /* The server's word on what stands in the form. */
  function complain(field, problems) {
    const path = field.dataset.path, rows = $$(".f-merge-use", field), own = [];
    rows.forEach((one) => { $(".f-error", one).hidden = true; });
    for (const [where, lines] of Object.entries(problems)) {
      const at = path === "sources" && where.match(/^sources\.(\d+)(\.|$)/);
      if (at && rows[at[1]]) {
        const spot = $(".f-error", rows[at[1]]);
        spot.textContent = spot.hidden ? lines.join("\n") : `${spot.textContent}\n${lines.join("\n")}`;
        spot.hidden = false;
      } else if (where === path || where.startsWith(path + ".")) own.push(...lines);
    }
    window.finestraFormTools.complain(field, own.length ? own : undefined);
  }
  function apply() {
    const element = $("#kind-state");
    if (!element || element.dataset.state === applied || !values) return;
    applied = element.dataset.state;
    const state = JSON.parse(applied), hidden = new Set(state.hidden || []);
    fields().forEach((field) => {
      complain(field, state.problems);
      field.toggleAttribute("data-off", hidden.has(field.dataset.path));
    });
    $$("#kind-form .f-fields").forEach((card) => {
      const inside = $$("[data-path]", card);
      card.toggleAttribute("data-off", inside.length > 0 && inside.every((one) => one.hasAttribute("data-off")));
    });
    /* Consent is to what would run as it is now; what has changed is asked about again. */
    for (const [path, digest] of Object.entries(state.digests || {})) {
      const field = $(`#kind-form [data-path="${path}"]`);
      field.dataset.digest = digest;
      $("input", field).checked = false;
    }
    if (state.sizes) options(state);
    const name = $("#field-name-in");
    if (name && state.named) name.placeholder = state.named;
    for (const [path, allowed] of Object.entries(state.options || {})) narrow(path, allowed);
  }
  function options(state) {
    $$("#kind-form [data-kind=options] .f-option").forEach((option) => {
      const said = $(".f-option-said", option), why = state.said[option.dataset.option] || "";
      said.textContent = why;
      said.hidden = !why;
      option.toggleAttribute("data-lacking", !!why);
      $(".f-option-size", option).textContent = state.sizes[option.dataset.option] || "";
    });
    $$("#kind-form [data-group]").forEach((group) => {
      const told = state.notes[group.dataset.group] || [], spot = $(".f-options-note", group);
      spot.hidden = !told.length;
      spot.replaceChildren(...told.flatMap(([before, command, after]) => [
        `${before} `, make("code", { textContent: command }), ` ${after}`]));
    });
  }
  /* Only some choices mean something; where the chosen one does not, the first of them is taken. */
  function narrow(path, allowed) {
    const field = $(`#kind-form [data-path="${path}"]`);
    $$(".f-option", field).forEach((option) => {
      option.toggleAttribute("data-off", !allowed.includes(option.dataset.option));
    });
    const chosen = $("input:checked", field);
    if (chosen && allowed.length && !allowed.includes(chosen.value)) {
      write(field, allowed[0]);
      take(field);
    }
  }

  document.addEventListener("input", (event) => take(event.target.closest("#kind-form [data-path]")));
  document.addEventListener("finestra-field", (event) => {
    if (event.target.closest("#kind-form")) take(event.target);
  });
  document.addEventListener("click", (event) => {
    if (event.target.id === "merge-add") {
      const field = event.target.closest("[data-path]");
      $(".f-merge-rows", field).append(row({ name: "", weight: "1" }));
      renumber(field);
      take(field);
      $(".f-merge-use:last-child [role=combobox]", field).focus();
    } else if (event.target.id === "kind-reset") {
      try { sessionStorage.removeItem(KEPT); } catch { /* private window */ }
      location.reload();
    }
  });

  let waiting = false;
  new MutationObserver(() => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      if (!$("#kind-form") || !window.finestraFields || !window.finestraFormTools) return;
      $$(".f-away").forEach((box) => { if (!box.hasAttribute("aria-hidden")) box.setAttribute("aria-hidden", "true"); });
      fill();
      apply();
    });
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
