/* The Chat page's ground: elements made without HTML, words, the server's answers and errors. */
(function () {
  "use strict";
  /* doc: the conversation as the server tells it, or one that is not sent yet (without an id). */
  const C = window.finestraChat = { doc: null, models: [], slots: [""], drafts: new Map(), open: new Set() };
  const $ = C.$ = (selector, root) => (root || document).querySelector(selector);
  let words = {}, errors = {};

  C.readWords = () => {
    const element = $("#chat-words");
    words = JSON.parse(element.dataset.words);
    errors = JSON.parse(element.dataset.errors);
  };
  C.word = (key, values) => Object.entries(values || {}).reduce(
    (text, [name, value]) => text.replaceAll(`{${name}}`, () => String(value)), words[key] || key);
  C.hasWord = (key) => key in words;

  /* Whatever a model or a person wrote goes in as text: nothing here takes HTML. */
  C.el = (tag, given, ...children) => {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(given || {})) {
      if (value === false || value === null || value === undefined) continue;
      if (key === "text") made.textContent = value;
      else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else if (key === "data") Object.assign(made.dataset, value);
      else made.setAttribute(key, value === true ? "" : value);
    }
    made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
    return made;
  };
  C.icon = (name) => $(`#chat-icons [data-icon="${name}"]`).firstElementChild.cloneNode(true);
  /* A button that shows an icon and says a word. ``key`` tells it from others when it is drawn anew. */
  C.act = (icon, key, onclick, label) => C.el("button", {
    type: "button", class: "f-act", data: { act: key }, "aria-label": label || C.word(key), title: label || C.word(key), onclick,
  }, C.icon(icon));
  C.button = (key, onclick, kind, label) => C.el("button", {
    type: "button", class: `f-button f-small ${kind || ""}`, data: { act: key }, text: label || C.word(key), onclick });
  C.note = (kind, title, ...body) => C.el("div", { class: `f-note f-${kind}`, role: kind === "bad" ? "alert" : "status" },
    C.icon(kind === "ok" ? "check" : "warn"), C.el("div", {}, C.el("b", { text: title }), ...body));

  /* Errors: {code, message, advice, log}, in the page's language where it has a word for the code. */
  C.explain = (problem) => {
    const [message, advice] = errors[problem.code] || [];
    return { ...problem, message: message || problem.message || C.word("inside"), advice: message ? advice : problem.advice || "" };
  };
  C.api = async (method, path, body) => {
    const sent = { method, cache: "no-store" };
    if (body !== undefined) {
      sent.headers = { "Content-Type": "application/json" };
      sent.body = JSON.stringify(body);
      // What was changed just before the page is left still arrives; browsers allow 64 KB of it.
      sent.keepalive = sent.body.length < 16000;
    }
    let answer;
    try {
      answer = await fetch(`./api/chats${path}`, sent);
    } catch {
      throw { code: "offline", message: C.word("offline") };
    }
    const document = await answer.json().catch(() => ({}));
    if (!answer.ok) throw { status: answer.status, ...(document.error || { code: "internal", message: C.word("inside") }) };
    return document;
  };
  C.here = (path) => `/${encodeURIComponent(C.doc.id)}${path || ""}`;
  C.say = (problem) => {
    const said = problem && C.explain(problem);
    $("#chat-said").replaceChildren(...(said ? [C.el("div", { class: "f-said" },
      C.note("bad", said.message, said.advice ? C.el("p", { text: said.advice }) : null),
      C.act("close", "close", () => C.say(null)))] : []));
  };
  /* Do something at the server; what it refuses is said above the conversation. */
  C.ask = async (method, path, body) => {
    try {
      const answer = await C.api(method, path, body);
      C.say(null);
      return answer;
    } catch (problem) {
      if (!("code" in problem)) throw problem;
      C.say(problem);
      return null;
    }
  };

  const tongue = () => document.documentElement.lang;
  C.number = (value, digits) => Number(value).toLocaleString(tongue(), { maximumFractionDigits: digits ?? 1 });
  C.millis = (when) => (typeof when === "number" ? when * 1000 : Date.parse(when));
  C.ago = (when) => {
    const passed = (C.millis(when) - Date.now()) / 1000;
    const spoken = new Intl.RelativeTimeFormat(tongue(), { numeric: "auto", style: "short" });
    for (const [unit, seconds] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
      if (Math.abs(passed) >= seconds) return spoken.format(Math.round(passed / seconds), unit);
    }
    return spoken.format(0, "second");
  };
  C.copy = async (text, button) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const box = C.el("textarea", { class: "f-unseen" });
      box.value = text;
      document.body.append(box);
      box.select();
      document.execCommand("copy");
      box.remove();
    }
    const label = button.getAttribute("aria-label");
    const before = [...button.childNodes];
    if (label) button.replaceChildren(C.icon("check"));
    else button.textContent = C.word("copied");
    button.setAttribute("aria-label", C.word("copied"));
    setTimeout(() => {
      button.replaceChildren(...before);
      if (label) button.setAttribute("aria-label", label);
      else button.removeAttribute("aria-label");
    }, 1400);
  };
  C.kept = (key, value) => {
    try {
      if (value === undefined) return JSON.parse(localStorage.getItem(`finestra_chat_${key}`));
      localStorage.setItem(`finestra_chat_${key}`, JSON.stringify(value));
    } catch { /* a private window */ }
    return null;
  };

  /* The tree of turns */
  C.path = (doc) => {
    const found = [];
    for (let turn = doc.turns[doc.leaf]; turn && !found.includes(turn); turn = doc.turns[turn.parent]) found.unshift(turn);
    return found;
  };
  const same = (a, b) => JSON.stringify(Object.entries(a || {}).sort()) === JSON.stringify(Object.entries(b || {}).sort());
  C.siblings = (doc, turn) => Object.values(doc.turns).filter(
    (other) => (other.parent || null) === (turn.parent || null) && same(other.after, turn.after));
  C.children = (doc, id) => Object.values(doc.turns).filter((turn) => turn.parent === id);
  C.deepest = (doc, id) => {
    for (let children = C.children(doc, id); children.length; children = C.children(doc, id)) id = children.at(-1).id;
    return id;
  };
  /* Which answer of a lane is shown: the one that the next turn goes on from, else the chosen one. */
  C.shown = (turn, lane, next) => {
    const list = turn.answers[lane] || [];
    const wanted = next?.after?.[lane] || turn.shown?.[lane];
    return list.find((answer) => answer.id === wanted) || list.at(-1);
  };
  C.isActive = (answer) => ["waiting", "loading", "writing"].includes(answer.state);
  C.isBusy = (doc) => Object.values(doc?.turns || {}).some((turn) => Object.values(turn.answers).flat().some(C.isActive));
  C.isHidden = (doc) => Boolean(doc.id && doc.hidden);
  /* Lanes as they stand beside each other; after a blind vote they stay where they were. */
  C.lanesOf = (doc, turn) => {
    const order = doc.blind && !C.isHidden(doc) && doc.order?.length === doc.lanes.length ? doc.order.map((at) => doc.lanes[at]) : doc.lanes;
    return [...order.filter((lane) => lane in turn.answers), ...Object.keys(turn.answers).filter((lane) => !order.includes(lane))];
  };
  C.laneName = (lane) => (C.isHidden(C.doc) ? C.word("lane", { letter: lane })
    : C.models.find((model) => model.id === lane)?.label || lane);
})();
