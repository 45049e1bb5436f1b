/* The Chat page: what is open, the events of the server, the question that is being written. */
(function () {
  "use strict";
  const C = window.finestraChat, $ = C.$, el = C.el, word = C.word;
  const MOST_MB = 10;
  let source = null, images = [], sending = false, opened = 0, retry = 0;

  /* A conversation that nobody has sent yet lives in the tab. */
  const EMPTY = { id: null, title: "", lanes: [], blind: false, system: "", settings: {}, tools: [], turns: {}, leaf: null };
  C.keepDraft = () => {
    if (C.doc.id) return;
    try { sessionStorage.setItem("finestra_chat_draft", JSON.stringify(C.doc)); } catch { /* a private window */ }
  };
  function draft() {
    try { return { ...EMPTY, ...JSON.parse(sessionStorage.getItem("finestra_chat_draft") || "{}"), id: null, turns: {}, leaf: null }; } catch { return { ...EMPTY }; }
  }
  function typed(value) {
    const key = `finestra_chat_input ${C.doc?.id || ""}`;
    try {
      if (value === undefined) return sessionStorage.getItem(key) || "";
      sessionStorage.setItem(key, value);
    } catch { /* a private window */ }
    return "";
  }

  /* Addresses */
  C.go = (query) => {
    history.pushState(null, "", `./chat${query}`);
    C.side(false);
    route();
  };
  C.start = () => {
    const known = { lanes: C.doc?.id && !C.isHidden(C.doc) ? [...C.doc.lanes] : C.doc?.lanes || [], settings: C.doc?.settings || {}, system: C.doc?.system || "", tools: C.doc?.tools || [] };
    if (C.doc?.id && C.isHidden(C.doc)) known.lanes = C.kept("models") || [];
    try { sessionStorage.setItem("finestra_chat_draft", JSON.stringify({ ...EMPTY, ...known })); } catch { /* a private window */ }
    C.go("");
  };
  function route() {
    const query = new URLSearchParams(location.search);
    leave();
    if (query.get("id")) { open(query.get("id")); return; }
    // A name may have a comma of its own, which is written %2C.
    const models = (location.search.match(/[?&]models=([^&]*)/)?.[1] || "").split(",").map((name) => decodeURIComponent(name));
    const asked = [...models, query.get("run") || ""].filter((name, at, all) => name && all.indexOf(name) === at).slice(0, 4);
    const doc = asked.length ? { ...EMPTY, lanes: asked } : draft();
    if (!doc.lanes.length) doc.lanes = (C.kept("models") || []).filter((name) => C.models.some((model) => model.id === name));
    adopt(doc);
    state("ready");
    if (query.has("ask")) takeQuestion(query.get("ask"));
  }
  /* A question in the address is sent only where a page of ours put it there, in this tab: the
     link of a stranger fills the field and asks nobody. It leaves the address, so that neither
     a refresh nor the way back asks again. */
  function takeQuestion(given) {
    let ours = "";
    try {
      ours = sessionStorage.getItem("finestra_chat_ask") || "";
      sessionStorage.removeItem("finestra_chat_ask");
    } catch { /* a private window */ }
    const left = location.search.replace(/([?&])ask=[^&]*&?/, "$1").replace(/[?&]$/, "");
    history.replaceState(null, "", `./chat${left}`);
    const box = $("#chat-input");
    box.value = given || ours;
    typed(box.value);
    grow();
    if (!ours || box.value !== ours) return;
    // Base and run are compared by their likeliest words, as the run's sample answers are.
    C.doc.settings = { temperature: 0, seed: 0 };
    C.showSettings();
    send();
  }
  function leave() {
    source?.close();
    source = null;
    clearTimeout(retry);
    C.flush();
    C.doc = null;
    C.missing = false;
    opened += 1;
    images = [];
    C.slots = [""];
    C.forgetTurns();
    C.say(null);
  }
  function state(name) { $("#chat").dataset.state = name; }

  /* The server tells the whole conversation first and after each change of its shape. */
  function open(id) {
    const number = opened;
    state("loading");
    source = new EventSource(`./api/chats/${encodeURIComponent(id)}/events`);
    source.addEventListener("chat", (event) => {
      const told = JSON.parse(event.data), first = C.doc?.id !== told.id;
      adopt({ ...told, ...C.pending() });
      state("ready");
      if (first) { C.followEnd(); C.drawList(); }
      C.listSoon();
    });
    source.addEventListener("delta", (event) => C.grow(JSON.parse(event.data)));
    source.addEventListener("gone", () => {
      source.close();
      if (number === opened) missing();
    });
    source.addEventListener("error", () => {
      if (number !== opened || source.readyState !== EventSource.CLOSED) return;
      closed(id, number);
    });
  }
  async function closed(id, number) {
    try {
      await C.api("GET", `/${encodeURIComponent(id)}`);
    } catch (problem) {
      if (number !== opened) return;
      if (problem.status === 404) { missing(); return; }
    }
    retry = setTimeout(() => { if (number === opened) open(id); }, 2000);
  }
  function missing() {
    C.doc = { ...EMPTY };
    C.missing = true;
    state("missing");
    adopt(C.doc);
    $("#chat-said").replaceChildren(C.note("warn", word("missing"), el("p", { text: word("missing_advice") })));
    C.listChats();
  }
  function adopt(doc) {
    const first = C.doc?.id !== doc.id || !C.doc;
    C.doc = doc;
    C.takeLanes();
    C.drawLanes();
    C.showSettings();
    C.showExport();
    $("#chat-title").textContent = C.titleOf(doc);
    $("#chat").dataset.chat = doc.id || "";
    C.drawTurns();
    if (first) {
      $("#chat-input").value = typed();
      grow();
      drawImages();
    }
    C.onState();
  }
  C.onState = () => {
    const busy = C.isBusy(C.doc);
    $("#chat").toggleAttribute("data-busy", busy);
    $("#chat-stop").hidden = !busy;
    $("#chat-send").hidden = busy;
    $("#chat-send").disabled = sending || C.missing === true;
  };

  /* The question */
  function grow() {
    const box = $("#chat-input");
    box.style.height = "auto";
    box.style.height = `${Math.min(box.scrollHeight + 2, 220)}px`;
  }
  async function created() {
    if (C.doc.id) return C.flush();
    const { title, lanes, system, settings, tools, blind } = C.doc;
    const made = await C.ask("POST", "", { lanes, system, settings, tools, blind, ...(title ? { title } : {}) });
    if (!made) return false;
    typed("");
    try { sessionStorage.removeItem("finestra_chat_draft"); } catch { /* a private window */ }
    history.pushState(null, "", `./chat?id=${encodeURIComponent(made.id)}`);
    opened += 1;
    adopt(made);
    open(made.id);
    return true;
  }
  async function send() {
    const box = $("#chat-input"), text = box.value, sent = images;
    if (sending || C.isBusy(C.doc) || C.missing || (!text.trim() && !sent.length)) return;
    if (!C.doc.lanes.length) {
      C.say({ code: "need_model", message: word("need_model") });
      $("#chat-lane-0")?.focus();
      return;
    }
    sending = true;
    C.onState();
    if (await created()) {
      C.followEnd();
      const body = { parent: C.doc.leaf || null, inputs: [{ role: "user", content: C.contentOf(text, sent) }] };
      if (await C.ask("POST", C.here("/turns"), body)) {
        images = images.filter((one) => !sent.includes(one));
        if (box.value === text) box.value = "";
        typed(box.value);
        C.followEnd();
      } else box.value = text;
    }
    sending = false;
    drawImages();
    grow();
    C.onState();
  }
  const stop = () => { if (C.doc?.id && C.isBusy(C.doc)) C.ask("POST", C.here("/stop"), {}); };

  /* Images */
  function drawImages() {
    const room = $("#chat-images");
    room.hidden = !images.length;
    room.replaceChildren(...images.map((url, at) => el("span", { class: "f-image" }, el("img", { src: url, alt: word("image", { n: at + 1 }) }),
      C.act("close", `image-${at}`, () => { images.splice(at, 1); drawImages(); }, word("drop_image", { n: at + 1 })))));
  }
  function attach(files) {
    for (const file of files) {
      if (!/^image\/(png|jpeg|webp|gif)$/.test(file.type)) { C.say({ code: "image_kind", message: word("image_kind", { name: file.name }) }); continue; }
      const reader = new FileReader();
      reader.onload = () => {
        const all = [...images, reader.result];
        if (all.reduce((sum, url) => sum + url.length, 0) > MOST_MB * 1e6) { C.say({ code: "image_large", message: word("image_large", { limit: MOST_MB }) }); return; }
        images = all;
        drawImages();
      };
      reader.readAsDataURL(file);
    }
  }

  function wireComposer() {
    const box = $("#chat-input");
    box.addEventListener("input", () => { grow(); typed(box.value); });
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
      event.preventDefault();
      send();
    });
    box.addEventListener("paste", (event) => {
      const files = [...(event.clipboardData?.files || [])].filter((file) => file.type.startsWith("image/"));
      if (files.length) { event.preventDefault(); attach(files); }
    });
    $("#chat-form").addEventListener("submit", (event) => { event.preventDefault(); send(); });
    $("#chat-stop").addEventListener("click", stop);
    $("#chat-attach").addEventListener("change", (event) => { attach([...event.target.files]); event.target.value = ""; });
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.isComposing || document.querySelector("dialog[open]")) return;
      if (C.isBusy(C.doc)) stop();
      else if (!C.closeDrawer() && $("#chat").hasAttribute("data-side")) C.side(false);
    });
  }

  async function begin() {
    C.readWords();
    C.wireModels();
    C.wireSettings();
    C.wireList();
    C.wireMore();
    C.watchScroll();
    wireComposer();
    addEventListener("popstate", route);
    addEventListener("pagehide", () => C.flush());
    await C.loadModels();
    route();
    C.listChats();
  }
  /* Gradio puts the page in when it is ready. */
  let begun = false;
  function look() {
    if (begun || !$("#chat") || !$("#chat-form")) return;
    begun = true;
    watch.disconnect();
    begin();
  }
  const watch = new MutationObserver(look);
  watch.observe(document.documentElement, { childList: true, subtree: true });
  look();
})();
