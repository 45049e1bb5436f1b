/* The drawer: system prompt, sampling, presets. What changes is told to the server a moment later. */
(function () {
  "use strict";
  const C = window.finestraChat, $ = C.$, el = C.el, word = C.word;
  const $$ = (selector) => [...document.querySelectorAll(selector)];
  let presets = [], pending = {}, timer = 0;

  /* Change the conversation: at once here, a moment later at the server. */
  C.change = (values) => {
    Object.assign(C.doc, values);
    C.keepDraft();
    if (!C.doc.id) return;
    Object.assign(pending, values);
    clearTimeout(timer);
    timer = setTimeout(C.flush, 500);
  };
  C.flush = async () => {
    clearTimeout(timer);
    const values = pending;
    pending = {};
    if (!Object.keys(values).length || !C.doc?.id) return true;
    return Boolean(await C.ask("PATCH", C.here(), values));
  };
  C.pending = () => pending;

  function read(field) {
    const text = field.value.trim(), name = field.dataset.set;
    if (name === "stop") return text ? field.value.split("\n").filter((line) => line !== "") : null;
    if (name === "enable_thinking") return text ? text === "true" : null;
    if (field.validity.badInput) return undefined;
    if (!text) return null;
    const value = Number(text), whole = ["top_k", "max_tokens", "seed"].includes(name);
    const fits = Number.isFinite(value) && value >= Number(field.min) && value <= Number(field.max) && (!whole || Number.isInteger(value));
    return fits ? value : undefined;
  }
  function take() {
    const settings = {};
    let wrong = "";
    for (const field of $$("#chat-drawer [data-set]")) {
      const value = read(field);
      field.toggleAttribute("data-wrong", value === undefined);
      field.setAttribute("aria-invalid", String(value === undefined));
      if (value === undefined) wrong ||= word("range", { name: word(`set.${field.dataset.set}`), low: field.min, high: field.max });
      settings[field.dataset.set] = value ?? null;
    }
    $("#chat-set-said").hidden = !wrong;
    $("#chat-set-said").textContent = wrong;
    if (wrong) return;
    $("#chat-preset").value = "";
    showDelete();
    C.change({ settings });
  }
  function write(settings) {
    for (const field of $$("#chat-drawer [data-set]")) {
      const value = settings?.[field.dataset.set];
      if (field === document.activeElement) continue;
      field.value = value === null || value === undefined ? "" : Array.isArray(value) ? value.join("\n") : String(value);
      field.removeAttribute("data-wrong");
    }
    $("#chat-set-said").hidden = true;
    const some = Object.values(settings || {}).some((value) => value !== null && value !== undefined && value.length !== 0);
    $("#chat-settings").toggleAttribute("data-some", some || Boolean(C.doc.system) || Boolean(C.doc.tools?.length));
  }
  C.showSettings = () => {
    const system = $("#chat-system");
    if (document.activeElement !== system) system.value = C.doc.system || "";
    write(C.doc.settings);
    C.showTools();
  };

  /* Presets */
  const labelOf = (preset) => {
    return preset.label_key && C.hasWord(preset.label_key) ? word(preset.label_key) : preset.name;
  };
  async function loadPresets(chosen) {
    try { presets = (await C.api("GET", "/presets")).presets; } catch { presets = []; }
    const box = $("#chat-preset");
    box.replaceChildren(box.firstElementChild, ...presets.map((preset) => el("option", { value: preset.name, text: labelOf(preset) })));
    box.value = chosen || "";
    showDelete();
  }
  const isOwn = (preset) => preset && !preset.builtin;
  function showDelete() {
    $("#chat-preset-delete").hidden = !isOwn(presets.find((one) => one.name === $("#chat-preset").value));
  }
  async function savePreset() {
    const name = $("#chat-preset-name").value.trim(), said = $("#chat-preset-said");
    if (!name) { $("#chat-preset-name").focus(); return; }
    try {
      await C.api("PUT", `/presets/${encodeURIComponent(name)}`, { settings: C.doc.settings });
      said.className = "f-quiet";
      said.textContent = word("preset_saved", { name });
      $("#chat-preset-name").value = "";
      await loadPresets(name);
    } catch (problem) {
      said.className = "f-error";
      said.textContent = `${C.explain(problem).message} ${C.explain(problem).advice}`;
    }
  }
  async function deletePreset() {
    if (await C.ask("DELETE", `/presets/${encodeURIComponent($("#chat-preset").value)}`)) await loadPresets();
  }

  function toggle(open) {
    $("#chat-drawer").hidden = !open;
    $("#chat-settings").setAttribute("aria-expanded", String(open));
    if (open) $("#chat-system").focus();
    else $("#chat-settings").focus();
  }
  C.closeDrawer = () => {
    if ($("#chat-drawer").hidden) return false;
    toggle(false);
    return true;
  };
  C.wireSettings = () => {
    $("#chat-settings").setAttribute("aria-expanded", "false");
    $("#chat-settings").addEventListener("click", () => toggle($("#chat-drawer").hidden));
    $("#chat-drawer-close").addEventListener("click", () => toggle(false));
    $("#chat-system").addEventListener("input", (event) => C.change({ system: event.target.value }));
    $$("#chat-drawer [data-set]").forEach((field) => field.addEventListener("input", take));
    $("#chat-reset").addEventListener("click", () => { write({}); take(); });
    $("#chat-preset").addEventListener("change", (event) => {
      const preset = presets.find((one) => one.name === event.target.value);
      showDelete();
      if (!preset) return;
      const empty = Object.fromEntries($$("#chat-drawer [data-set]").map((field) => [field.dataset.set, null]));
      C.change({ settings: { ...empty, ...preset.settings } });
      write(C.doc.settings);
    });
    $("#chat-preset-save").addEventListener("click", savePreset);
    $("#chat-preset-name").addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); savePreset(); } });
    $("#chat-preset-delete").addEventListener("click", deletePreset);
    C.plain = Boolean(C.kept("plain"));
    $("#chat-plain").checked = C.plain;
    $("#chat-plain").addEventListener("change", (event) => {
      C.plain = event.target.checked;
      C.kept("plain", C.plain);
      C.drawTurns();
    });
    C.wireTools();
    loadPresets();
  };
})();
