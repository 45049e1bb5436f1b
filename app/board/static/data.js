/* The Data page: sending a file, opening rows, an address that says what is shown. */
(function () {
  "use strict";
  const $ = (selector, root) => (root || document).querySelector(selector);

  /* Tell a component of Gradio's what a script wants; it hears what a person would have typed. */
  function put(selector, value) {
    const input = $(selector);
    if (!input) return;
    const proto = input.tagName === "TEXTAREA" ? HTMLTextAreaElement : HTMLInputElement;
    Object.getOwnPropertyDescriptor(proto.prototype, "value").set.call(input, value);
    input.dispatchEvent(new Event("input", { bubbles: true }));
  }
  let asked = 0;
  function ask(words) {
    asked += 1;
    put("#data-do textarea, #data-do input", `${words}#${asked}`);
  }
  function open(row) {
    put("#data-row textarea, #data-row input", String(row));
    $("#data-viewer")?.scrollIntoView({ block: "start", behavior: "smooth" });
  }

  /* What is shown stands in the address, so that a refresh shows it again. */
  function address() {
    const wire = $("#data-do textarea, #data-do input");
    if (wire) wire.tabIndex = -1;
    const view = $("#data-view");
    if (!view || view.dataset.placed === view.dataset.state) return;
    view.dataset.placed = view.dataset.state;
    const query = new URLSearchParams(location.search);
    if (!query.get("name")) return;
    for (const [key, value] of Object.entries(JSON.parse(view.dataset.state))) {
      if (value === "" || value === null || value === false) query.delete(key);
      else query.set(key, value === true ? "1" : value);
    }
    history.replaceState(null, "", `${location.pathname}?${query}`);
  }

  /* Sending a file: progress, time left, and a way to stop. */
  let sending = null;
  function said(key, values) {
    let words = $("#data-drop")?.dataset[key] || "";
    for (const [name, value] of Object.entries(values || {})) words = words.replace(`{${name}}`, value);
    return words;
  }
  function megabytes(bytes) {
    return `${(bytes / 1e6).toLocaleString(document.documentElement.lang, { maximumFractionDigits: 1 })} MB`;
  }
  function left(seconds) {
    return seconds >= 60 ? said("minutes", { m: Math.ceil(seconds / 60) }) : said("seconds", { s: Math.ceil(seconds) });
  }
  function show(line, share) {
    $("#data-sending").hidden = false;
    $("#data-sending-words").textContent = line;
    const bar = $("#data-sending .f-bar");
    bar.firstElementChild.style.width = `${share}%`;
    bar.setAttribute("aria-valuenow", String(Math.round(share)));
  }
  function ended() {
    sending = null;
    $("#data-sending").hidden = true;
    $("#data-file").value = "";
  }
  function failed(document) {
    ended();
    ask("error:" + JSON.stringify(document.error || { code: "internal", message: "" }));
  }
  function tooLarge(file) {
    const limit = Number($("#data-drop").dataset.limit);
    ask("error:" + JSON.stringify({ code: "too_large", message: said("toolarge", { size: megabytes(file.size), limit: megabytes(limit) }) }));
  }
  function send(file) {
    if (sending) return;
    if (file.size > Number($("#data-drop").dataset.limit)) {
      $("#data-file").value = "";
      tooLarge(file);
      return;
    }
    const query = new URLSearchParams({ name: file.name, filename: file.name, rename: "true", check: "later" });
    const started = performance.now();
    sending = new XMLHttpRequest();
    sending.upload.onprogress = (event) => {
      const passed = (performance.now() - started) / 1000;
      const remains = passed > 1 && event.loaded ? passed * (event.total - event.loaded) / event.loaded : null;
      const line = said("sending", { name: file.name, done: megabytes(event.loaded), total: megabytes(event.total) });
      show(event.loaded === event.total ? said("looking", { name: file.name }) : remains === null ? line : `${line} · ${left(remains)}`,
        100 * event.loaded / Math.max(1, event.total));
    };
    sending.onload = () => {
      let answer = {};
      try { answer = JSON.parse(sending.responseText); } catch { /* no JSON: said below */ }
      if (sending.status === 201) location.assign("./data?name=" + encodeURIComponent(answer.name));
      else if (sending.status === 413) { ended(); tooLarge(file); }
      else failed(answer);
    };
    sending.onerror = () => failed({ error: { code: "upload_broken", message: said("broken") } });
    sending.onabort = ended;
    show(said("sending", { name: file.name, done: megabytes(0), total: megabytes(file.size) }), 0);
    sending.open("POST", `./api/datasets?${query}`);
    sending.setRequestHeader("Content-Type", "application/octet-stream");
    sending.send(file);
  }

  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-do], a[data-row], #data-sending-stop");
    if (!target || target.disabled) return;
    if (target.id === "data-sending-stop") sending?.abort();
    else if (target.dataset.do) ask(target.dataset.do);
    else if (!event.ctrlKey && !event.metaKey && !event.shiftKey) { event.preventDefault(); open(target.dataset.row); }
  });
  /* Left and right turn the rows while the viewer, and nothing to type into, has the focus. */
  document.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: "#data-row-back", ArrowRight: "#data-row-next" }[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const here = event.target;
    if (here !== document.body && !here.closest("#data-viewer")) return;
    if (here.closest("input, textarea, select, [role=listbox], [contenteditable]") && !here.closest("[type=checkbox]")) return;
    const button = $(step);
    if (!button || !button.offsetParent) return;
    event.preventDefault();
    button.click();
  });
  document.addEventListener("change", (event) => {
    if (event.target.id === "data-file" && event.target.files.length) send(event.target.files[0]);
  });
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      const drop = event.target.closest?.("#data-drop");
      if (!drop) return;
      event.preventDefault();
      drop.toggleAttribute("data-over", kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files.length) send(event.dataTransfer.files[0]);
    });
  }
  window.finestraData = address;
})();
