/* The conversations: searched, renamed, deleted after one question; a drawer on a phone. */
(function () {
  "use strict";
  const C = window.finestraChat, $ = C.$, el = C.el, word = C.word;
  let chats = [], renaming = null, doomed = null, asked = 0, timer = 0, told = "";

  const titleOf = (chat) => chat.title || chat.snippet || word("untitled");
  C.titleOf = (doc) => doc.title || word("untitled");

  C.listChats = async () => {
    const number = ++asked, search = $("#chat-search").value.trim();
    let found;
    try {
      found = (await C.api("GET", `?${new URLSearchParams({ search, limit: 200 })}`)).chats;
    } catch { return; }
    if (number !== asked) return;
    chats = found;
    $("#chat-list-none").hidden = chats.length > 0;
    $("#chat-list-none").textContent = word(search ? "none_found" : "none");
    $("#chat-export-all").hidden = !chats.length || Boolean(search);
    C.drawList();
  };
  /* Ask for the list a moment later: news often come in twos. */
  C.listSoon = (wait) => {
    clearTimeout(timer);
    timer = setTimeout(C.listChats, wait ?? 300);
  };

  function renamer(chat) {
    const box = el("input", { type: "text", maxlength: "200", "aria-label": word("title") });
    box.value = chat.title || "";
    const save = async (event) => {
      event.preventDefault();
      renaming = null;
      if (await C.ask("PATCH", `/${encodeURIComponent(chat.id)}`, { title: box.value.trim() })) chat.title = box.value.trim();
      C.drawList();
      C.listSoon();
    };
    const leave = () => { renaming = null; C.drawList(); };
    box.addEventListener("keydown", (event) => { if (event.key === "Escape") { event.stopPropagation(); leave(); } });
    return el("form", { class: "f-conv-edit", onsubmit: save }, box, el("div", { class: "f-actions" },
      el("button", { type: "submit", class: "f-button f-small f-primary", text: word("save") }), C.button("cancel", leave)));
  }
  function asking(chat) {
    const leave = () => { doomed = null; C.drawList(true); };
    const really = el("button", { type: "button", class: "f-button f-small f-danger f-conv-yes", text: word("delete_yes"), onclick: async () => {
      doomed = null;
      if (!await C.ask("DELETE", `/${encodeURIComponent(chat.id)}`)) return C.drawList(true);
      if (C.doc?.id === chat.id) C.start();
      return C.listChats();
    } });
    return el("div", { class: "f-conv-ask", role: "group", "aria-label": word("delete_one", { title: titleOf(chat) }) }, el("p", { text: word("delete_ask") }),
      el("div", { class: "f-actions" }, really, el("button", { type: "button", class: "f-button f-small f-conv-no", text: word("delete_no"), onclick: leave })));
  }
  function row(chat) {
    const here = chat.id === C.doc?.id;
    const link = el("a", { href: `./chat?id=${encodeURIComponent(chat.id)}`, "aria-current": here && "page", onclick: (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      C.go(`?id=${encodeURIComponent(chat.id)}`);
    } }, el("b", { text: titleOf(chat) }));
    const found = $("#chat-search").value.trim() && chat.snippet;
    if (found) link.append(el("span", { class: "f-conv-found", text: chat.snippet }));
    const models = chat.lanes.map((lane) => C.models.find((model) => model.id === lane)?.label || lane).join(", ");
    link.append(el("span", { class: "f-conv-when", text: [C.ago(chat.updated_at), models].filter(Boolean).join(" · ") }));
    const made = el("li", { class: "f-conv", data: { id: chat.id } }, link, el("div", { class: "f-conv-acts" },
      named("f-conv-rename", C.act("edit", `rename-${chat.id}`, () => { renaming = chat.id; doomed = null; C.drawList(true); }, word("rename_one", { title: titleOf(chat) }))),
      named("f-conv-delete", C.act("bin", `delete-${chat.id}`, () => { doomed = chat.id; renaming = null; C.drawList(true); }, word("delete_one", { title: titleOf(chat) })))));
    if (renaming === chat.id) made.append(renamer(chat));
    if (doomed === chat.id) made.append(asking(chat));
    return made;
  }
  function named(kind, button) {
    button.classList.add(kind);
    return button;
  }
  /* Draw the list when it has changed; somebody who is typing a title is not disturbed. */
  C.drawList = (again) => {
    const room = $("#chat-list");
    const state = JSON.stringify([chats, C.doc?.id, renaming, doomed, C.models.length, Math.floor(Date.now() / 60000)]);
    if (state === told || (renaming && !again && room.querySelector(".f-conv-edit"))) return;
    told = state;
    const focused = document.activeElement?.dataset?.act;
    room.replaceChildren(...chats.map(row));
    const opened = room.querySelector(".f-conv-edit input, .f-conv-no");
    if (opened) opened.focus();
    else if (focused) [...room.querySelectorAll("[data-act]")].find((one) => one.dataset.act === focused)?.focus();
  };

  C.side = (open) => {
    $("#chat").toggleAttribute("data-side", open);
    $("#chat-shade").hidden = !open;
    $("#chat-side-open").setAttribute("aria-expanded", String(open));
    if (open) $("#chat-search").focus();
    else if ($("#chat-side").contains(document.activeElement)) $("#chat-side-open").focus();
  };
  C.wireList = () => {
    $("#chat-search").addEventListener("input", () => C.listSoon(200));
    $("#chat-new").addEventListener("click", () => { C.start(); C.side(false); $("#chat-input").focus(); });
    $("#chat-side-open").addEventListener("click", () => C.side(true));
    $("#chat-side-close").addEventListener("click", () => C.side(false));
    $("#chat-shade").addEventListener("click", () => C.side(false));
    addEventListener("focus", () => C.listSoon(0));
    setInterval(() => { if (!document.hidden) C.listChats(); }, 20000);
  };
})();
