/* The conversation: questions, the answers of every lane beside each other, votes, versions. */
(function () {
  "use strict";
  const C = window.finestraChat, $ = C.$, el = C.el, word = C.word;
  const drawn = new Map();    // turn id -> {element, signature}
  const replies = new Map();  // answer id -> paint it as it stands now
  const dirty = new Set();
  let follow = true, editing = null;

  const turnPath = (turn) => C.here(`/turns/${encodeURIComponent(turn.id)}`);
  const textOf = (content) => (typeof content === "string" ? content
    : (content || []).filter((part) => part.type === "text").map((part) => part.text).join("\n"));
  const imagesOf = (content) => (Array.isArray(content) ? content : [])
    .map((part) => part.image_url?.url || "").filter((url) => /^data:image\/(png|jpeg|webp|gif);base64,/.test(url));
  C.contentOf = (text, images) => (images.length ? [...(text.trim() ? [{ type: "text", text }] : []),
    ...images.map((url) => ({ type: "image_url", image_url: { url } }))] : text);

  /* Versions: of an answer (asked again) or of a question (edited). */
  function switcher(at, of, choose) {
    const step = (icon, key, to) => {
      const made = C.act(icon, key, () => choose(to));
      made.disabled = to < 0 || to >= of;
      return made;
    };
    return el("span", { class: "f-versions-of" }, step("left", "before", at - 1),
      el("span", { text: word("version", { at: at + 1, of }) }), step("right", "after", at + 1));
  }
  function showAnswer(turn, lane, answer) {
    const stays = (child) => C.lanesOf(C.doc, turn).every((one) => (
      child.after?.[one] === (one === lane ? answer.id : C.shown(turn, one, next(turn))?.id)));
    const child = C.children(C.doc, turn.id).filter(stays).at(-1);
    const leaf = child ? C.deepest(C.doc, child.id) : turn.id;
    C.ask("PATCH", C.here(), { shown: { turn: turn.id, lane, answer: answer.id }, leaf });
  }
  const next = (turn) => {
    const path = C.path(C.doc);
    return path[path.findIndex((one) => one.id === turn.id) + 1];
  };

  /* Questions */
  function question(turn) {
    if (editing?.turn === turn.id) return editor(turn);
    const made = el("div", { class: "f-ask" });
    for (const input of turn.inputs) {
      if (input.role === "tool") made.append(toolSaid(turn, input));
      else made.append(el("div", { class: "f-bubble" }, ...imagesOf(input.content).map((url, at) => el("img", { src: url, alt: word("image", { n: at + 1 }) })),
        el("p", { text: textOf(input.content) })));
    }
    const versions = C.siblings(C.doc, turn), at = versions.indexOf(turn);
    const asked = turn.inputs.find((input) => input.role === "user");
    made.append(el("div", { class: "f-acts-of" },
      versions.length > 1 && switcher(at, versions.length, (to) => C.ask("PATCH", C.here(), { leaf: C.deepest(C.doc, versions[to].id) })),
      asked && C.act("edit", "edit", () => { editing = { turn: turn.id, text: textOf(asked.content) }; C.drawTurns(); $(".f-edit textarea")?.focus(); })));
    return made;
  }
  function editor(turn) {
    const asked = turn.inputs.find((input) => input.role === "user");
    const box = el("textarea", { rows: "3", "aria-label": word("edit"), oninput: () => { editing.text = box.value; } });
    box.value = editing.text;
    const leave = () => { editing = null; C.drawTurns(); };
    const send = async () => {
      const images = imagesOf(asked.content);
      if (!box.value.trim() && !images.length) return;
      follow = true;
      const body = { parent: turn.parent || null, inputs: [{ role: "user", content: C.contentOf(box.value, images) }] };
      if (await C.ask("POST", C.here("/turns"), body)) leave();
    };
    box.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { event.stopPropagation(); leave(); }
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); }
    });
    return el("div", { class: "f-edit" }, box, el("div", { class: "f-actions" },
      C.button("edit_send", send, "f-primary"), C.button("cancel", leave)));
  }
  function toolSaid(turn, input) {
    const calls = Object.values(C.doc.turns).flatMap((one) => Object.values(one.answers).flat()).flatMap((answer) => answer.tool_calls || []);
    const name = calls.find((call) => call.id === input.tool_call_id)?.function?.name || input.name || input.tool_call_id || "";
    return el("details", { class: "f-tool", open: true }, el("summary", {}, el("code", { text: name }), el("span", { text: word("tool_said", { name: "" }).trim() })),
      el("pre", { text: textOf(input.content) }));
  }

  /* Answers */
  function statWords(stats) {
    const known = (key) => typeof stats?.[key] === "number";
    return [known("first_token_s") && word("first", { s: C.number(stats.first_token_s, 2) }),
      known("tokens_per_s") && (stats.completion_tokens ?? 9) > 3 && stats.total_s - stats.first_token_s > 0.05 && word("speed", { n: C.number(stats.tokens_per_s, 1) }),
      known("completion_tokens") && word("tokens", { n: C.number(stats.completion_tokens) })].filter(Boolean).join(" · ");
  }
  function moreStats(stats) {
    const known = (key) => typeof stats?.[key] === "number";
    return [known("prompt_tokens") && word("read", { n: C.number(stats.prompt_tokens) }),
      known("total_s") && word("took", { s: C.number(stats.total_s, 1) })].filter(Boolean).join(" · ");
  }
  function remembered(key, made) {
    made.open = C.open.has(key);
    made.addEventListener("toggle", () => (made.open ? C.open.add(key) : C.open.delete(key)));
    return made;
  }
  function failure(turn, lane, answer) {
    const said = C.explain(answer.error);
    return C.note("bad", said.message, said.advice ? el("p", { text: said.advice }) : null,
      said.log ? el("details", { class: "f-whole", open: true }, el("summary", { text: word("log") }), el("pre", { class: "f-log", tabindex: "0", text: said.log })) : null,
      el("div", { class: "f-actions" }, C.button("retry", () => again(turn, lane))));
  }
  function again(turn, lane, prefix) {
    follow = true;
    C.ask("POST", `${turnPath(turn)}/answers`, prefix ? { lane, prefix } : { lane });
  }
  function reply(turn, lane, following) {
    const list = turn.answers[lane], answer = C.shown(turn, lane, following);
    const name = C.laneName(lane), active = C.isActive(answer);
    const parts = {
      state: el("span", { class: "f-reply-state" }),
      thought: el("div", { class: "f-thought" }),
      body: el("div", { class: "f-md", "aria-live": "polite", "aria-busy": String(active) }),
      calls: el("div"), stats: el("span", { class: "f-reply-stats" }),
    };
    parts.think = remembered(`think ${answer.id}`, el("details", { class: "f-think" }, el("summary"), parts.thought));
    const won = turn.vote && turn.vote.winner === lane;
    const made = el("section", { class: "f-reply", "aria-label": word("answer_of", { name }), data: { lane, answer: answer.id, state: answer.state } },
      el("div", { class: "f-reply-head" }, el("b", { text: name }), won && C.icon("check"), parts.state),
      parts.think, parts.body, parts.calls, answer.error ? failure(turn, lane, answer) : null,
      el("div", { class: "f-acts-of" }, ...actions(turn, lane, list, answer), parts.stats));
    if (won) made.dataset.won = "";
    const now = () => C.doc.turns[turn.id]?.answers[lane]?.find((one) => one.id === answer.id) || answer;
    const paint = () => paintReply(made, parts, now());
    replies.set(answer.id, paint);
    paint();
    if (!active && answer.tool_calls?.length) parts.calls.append(...C.calls(turn, lane, answer));
    return made;
  }
  function actions(turn, lane, list, answer) {
    if (C.isActive(answer)) return [];
    const cut = answer.content && !answer.tool_calls?.length && (answer.finish_reason === "length" || answer.state === "stopped");
    const copy = C.act("copy", "copy", () => C.copy(answer.content, copy));
    return [list.length > 1 && switcher(list.indexOf(answer), list.length, (to) => showAnswer(turn, lane, list[to])),
      answer.content && copy, C.act("again", "again", () => again(turn, lane)),
      cut && C.act("go_on", "go_on", () => again(turn, lane, answer.content)),
      answer.state !== "failed" && !C.isHidden(C.doc) && C.act("tokens", "exact", () => C.showExact(turn, answer)),
      C.act("fork", "fork", () => C.fork(turn))];
  }
  function paintReply(made, parts, answer) {
    const active = C.isActive(answer), thinking = active && answer.thinking && !answer.content;
    made.dataset.state = answer.state;
    const waiting = active && !answer.content && !answer.thinking;
    parts.state.textContent = waiting || answer.state === "stopped" ? word(`state.${answer.state}`)
      : answer.finish_reason === "length" ? word("cut") : "";
    parts.state.dataset.state = answer.state;
    parts.think.hidden = !answer.thinking;
    parts.think.firstElementChild.textContent = word(thinking ? "thinking_now" : "thinking");
    if (parts.thought.textContent !== answer.thinking) parts.thought.textContent = answer.thinking || "";
    const nothing = answer.state === "done" && !answer.content && !answer.tool_calls?.length && !answer.thinking;
    parts.body.replaceChildren(...(nothing ? [el("p", { class: "f-quiet", text: word("nothing") })] : C.markdown(answer.content || "")));
    if (active) (parts.body.lastElementChild?.matches("p") ? parts.body.lastElementChild : parts.body).append(el("i", { class: "f-cursor", "aria-hidden": "true" }));
    parts.body.setAttribute("aria-busy", String(active));
    parts.stats.textContent = statWords(answer.stats);
    parts.stats.title = moreStats(answer.stats);
  }

  /* Votes */
  function votes(turn, lanes) {
    if (lanes.length < 2) return null;
    const answers = lanes.map((lane) => C.shown(turn, lane, next(turn)));
    if (answers.some((answer) => C.isActive(answer) || answer.state === "failed" || !answer.content || answer.tool_calls?.length)) return turn.vote ? voted(turn) : null;
    if (turn.vote) return voted(turn);
    const vote = (winner, label) => C.button(`vote-${winner}`, () => C.ask("POST", `${turnPath(turn)}/vote`, { winner }), "", label);
    return el("div", { class: "f-vote", role: "group", "aria-label": word("vote") }, el("span", { text: word("vote") }),
      ...lanes.map((lane) => vote(lane, word("better", { name: C.isHidden(C.doc) ? lane : C.laneName(lane) }))),
      vote("tie", word("tie")), vote("neither", word("neither")));
  }
  function voted(turn) {
    const { winner, blind } = turn.vote, order = C.doc.order || [];
    const said = ["tie", "neither"].includes(winner) ? word(`voted_${winner}`) : word("voted", { name: C.laneName(winner) });
    const who = blind && !C.isHidden(C.doc) && order.length === C.doc.lanes.length
      ? order.map((at, place) => word("revealed", { letter: "ABCD"[place], name: C.laneName(C.doc.lanes[at]) })) : [];
    return el("p", { class: "f-voted f-quiet", text: [said, ...who].join(document.documentElement.lang.startsWith("zh") ? "" : " ") });
  }

  /* Drawing: a turn is made anew only when something but its growing texts has changed. */
  function signature(turn, following) {
    const still = Object.values(turn.answers).flat().some(C.isActive);
    const plain = still ? { ...turn, answers: Object.entries(turn.answers).map(([lane, list]) => [lane, list.map((a) => [a.id, a.state, a.tool_calls])]) } : turn;
    const calls = Object.values(turn.answers).flat().some((answer) => answer.tool_calls?.length);
    return JSON.stringify([plain, following?.after, following?.lane, calls && C.path(C.doc).map((one) => one.id), C.siblings(C.doc, turn).map((one) => one.id), C.doc.order, C.isHidden(C.doc),
      C.doc.leaf === turn.id, editing?.turn === turn.id, C.plain, Object.keys(turn.answers).map(C.laneName)]);
  }
  function drawTurn(turn, following) {
    const lanes = C.lanesOf(C.doc, turn);
    const grid = el("div", { class: "f-replies", data: { lanes: lanes.length } },
      ...lanes.map((lane) => reply(turn, lane, following)));
    return el("article", { class: "f-turn", data: { turn: turn.id } }, question(turn), grid, votes(turn, lanes));
  }
  function refocus(old, fresh) {
    const at = document.activeElement;
    if (!old?.contains(at) || !at.dataset.act) return;
    const lane = at.closest("[data-lane]")?.dataset.lane;
    const place = lane === undefined ? fresh : [...fresh.querySelectorAll("[data-lane]")].find((one) => one.dataset.lane === lane);
    const key = [...(place || fresh).querySelectorAll("[data-act]")].find((one) => one.dataset.act === at.dataset.act && !one.disabled);
    requestAnimationFrame(() => key?.focus());
  }
  C.drawTurns = () => {
    const room = $("#chat-turns"), path = C.doc?.id ? C.path(C.doc) : [];
    for (const id of [...drawn.keys()]) {
      if (!path.some((turn) => turn.id === id)) { drawn.get(id).element.remove(); drawn.delete(id); }
    }
    path.forEach((turn, at) => {
      const known = drawn.get(turn.id), sign = signature(turn, path[at + 1]);
      let element = known?.element;
      if (known?.signature !== sign) {
        element = drawTurn(turn, path[at + 1]);
        refocus(known?.element, element);
        known?.element.remove();
        drawn.set(turn.id, { element, signature: sign });
      } else {
        Object.values(turn.answers).flat().filter(C.isActive).forEach((answer) => replies.get(answer.id)?.());
      }
      if (room.children[at] !== element) room.insertBefore(element, room.children[at] || null);
    });
    $("#chat-empty").hidden = path.length > 0 || C.missing === true;
    C.stick();
  };
  C.forgetTurns = () => {
    drawn.clear();
    replies.clear();
    editing = null;
    follow = true;
    $("#chat-turns").replaceChildren();
  };

  /* A piece of an answer has come. */
  let waiting = false;
  C.grow = (delta) => {
    const answer = C.doc?.turns[delta.turn]?.answers[delta.lane]?.find((one) => one.id === delta.answer);
    if (!answer) return;
    const before = answer.state;
    answer.content += delta.content || "";
    answer.thinking = (answer.thinking || "") + (delta.thinking || "");
    for (const key of ["tool_calls", "state", "stats", "error", "finish_reason"]) if (delta[key] !== undefined && delta[key] !== null) answer[key] = delta[key];
    dirty.add(answer.id);
    if (C.isActive(answer) !== C.isActive({ state: before })) { C.drawTurns(); C.onState?.(); }
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      for (const id of dirty) replies.get(id)?.();
      dirty.clear();
      C.stick();
    });
  };

  /* The end stays in view unless somebody has scrolled up. */
  C.stick = () => {
    const room = $(".f-talk-room");
    if (follow) room.scrollTop = room.scrollHeight;
    $("#chat-to-end").hidden = follow || room.scrollHeight - room.scrollTop - room.clientHeight < 90;
  };
  C.followEnd = () => { follow = true; C.stick(); };
  C.watchScroll = () => {
    const room = $(".f-talk-room");
    room.addEventListener("scroll", () => {
      follow = room.scrollHeight - room.scrollTop - room.clientHeight < 60;
      $("#chat-to-end").hidden = follow;
    }, { passive: true });
    new ResizeObserver(() => C.stick()).observe($("#chat-turns"));
    $("#chat-to-end").addEventListener("click", C.followEnd);
  };
})();
