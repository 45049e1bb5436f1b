/* What a model really read, token by token; taking conversations away; a dataset of them. */
(function () {
  "use strict";
  const C = window.finestraChat, $ = C.$, el = C.el, word = C.word;
  const FIRST_TOKENS = 4000;

  C.fork = async (turn) => {
    const made = await C.ask("POST", C.here("/fork"), { turn: turn.id });
    if (made) C.go(`?id=${encodeURIComponent(made.id)}`);
  };

  /* The exact prompt */
  function visible(text) {
    return text.replaceAll("\n", "⏎").replaceAll("\t", "⇥").replaceAll(" ", "·") || "∅";
  }
  function chips(ids, texts) {
    const room = el("div", { class: "f-tokens", tabindex: "0", data: { tokens: ids.length } });
    ids.slice(0, FIRST_TOKENS).forEach((id, at) => {
      const text = texts?.[at];
      const special = text !== undefined && /^<[^\s<>]+>$|^\[[A-Z_]+\]$/.test(text);
      room.append(el("span", { class: special ? "f-tok f-tok-special" : "f-tok", title: `${id}` },
        text === undefined || text === null ? null : el("b", { text: visible(text) }), el("i", { text: String(id) })));
    });
    return room;
  }
  C.showExact = async (turn, answer) => {
    const dialog = $("#chat-exact"), said = $("#chat-exact-said"), body = $("#chat-exact-body");
    said.textContent = word("exact_asking");
    body.replaceChildren();
    dialog.showModal();
    let found;
    try {
      found = await C.api("GET", C.here(`/turns/${encodeURIComponent(turn.id)}/answers/${encodeURIComponent(answer.id)}/prompt`));
    } catch (problem) {
      const why = C.explain(problem);
      said.replaceChildren(C.note("bad", why.message, why.advice ? el("p", { text: why.advice }) : null));
      return;
    }
    const key = `note.${found.note_code}`;
    said.textContent = C.hasWord(key) ? word(key) : found.note || "";
    for (const [title, ids, texts] of [["exact_tokens", found.token_ids, found.tokens], ["exact_answer", found.answer_token_ids, found.answer_tokens]]) {
      if (!ids?.length) continue;
      const copy = el("button", { type: "button", class: "f-button f-small", text: word("exact_copy_ids"), onclick: () => C.copy(JSON.stringify(ids), copy) });
      body.append(el("div", { class: "f-card-head" }, el("h3", { text: word(title, { n: C.number(ids.length) }) }), copy), chips(ids, texts));
    }
    if (found.text) body.append(el("h3", { text: word("exact_text") }), el("pre", { class: "f-log", tabindex: "0", text: found.text }));
  };

  /* Export and datasets */
  C.showExport = () => {
    $("#chat-more").hidden = !C.doc?.id;
    if (!C.doc?.id) return;
    for (const kind of ["markdown", "json", "jsonl"]) {
      $(`#chat-export-${kind}`).href = `./api/chats/export?${new URLSearchParams({ ids: C.doc.id, format: kind })}`;
    }
  };
  async function make() {
    const chosen = (name) => $(`#chat-dataset [name=chat-dataset-${name}]:checked`).value;
    const said = $("#chat-dataset-said"), button = $("#chat-dataset-go");
    const body = { name: $("#chat-dataset-name").value.trim(), kind: chosen("kind"), ...(chosen("of") === "this" && C.doc.id ? { ids: [C.doc.id] } : {}) };
    button.disabled = true;
    try {
      const made = await C.api("POST", "/dataset", body);
      said.replaceChildren(C.note("ok", word("dataset_made", { name: made.name, n: C.number(made.rows) }), el("p", {},
        el("a", { id: "chat-dataset-link", href: `./data?name=${encodeURIComponent(made.name)}`, text: word("dataset_look") }))));
    } catch (problem) {
      const why = C.explain(problem);
      said.replaceChildren(C.note("bad", why.message, why.advice ? el("p", { text: why.advice }) : null));
    }
    button.disabled = false;
  }
  C.wireMore = () => {
    const menu = $("#chat-more");
    menu.addEventListener("click", (event) => { if (event.target.closest("a, button")) menu.open = false; });
    document.addEventListener("click", (event) => { if (menu.open && !menu.contains(event.target)) menu.open = false; });
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !menu.open) return;
      event.stopPropagation();
      menu.open = false;
      menu.firstElementChild.focus();
    });
    $("#chat-dataset-open").addEventListener("click", () => {
      $("#chat-dataset-said").replaceChildren();
      $("#chat-dataset").showModal();
    });
    $("#chat-dataset-go").addEventListener("click", make);
    $("#chat-dataset form").addEventListener("submit", (event) => { event.preventDefault(); make(); });
    for (const dialog of [$("#chat-dataset"), $("#chat-exact")]) {
      dialog.addEventListener("click", (event) => { if (event.target === dialog || event.target.closest("[data-close]")) dialog.close(); });
    }
  };
})();
