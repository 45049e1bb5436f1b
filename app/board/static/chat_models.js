/* Who answers: one picker a model, up to four, and whether their names are hidden. */
(function () {
  "use strict";
  const C = window.finestraChat, $ = C.$, el = C.el, word = C.word;
  const KINDS = ["base", "run", "checkpoint", "export", "endpoint"], MOST = 4;

  C.loadModels = async () => {
    try {
      const answer = await fetch("./v1/models", { cache: "no-store" });
      C.models = (await answer.json()).data || [];
    } catch {
      C.models = C.models || [];
    }
  };

  function options(chosen, others) {
    const groups = new Map([...KINDS, "other"].map((kind) => [kind, []]));
    for (const model of C.models) {
      const kind = KINDS.includes(model.owned_by) ? model.owned_by : "other";
      groups.get(kind).push(el("option", { value: model.id, text: model.label || model.id, title: model.id, disabled: others.includes(model.id) }));
    }
    const made = [el("option", { value: "", text: word("choose") })];
    if (chosen && !C.models.some((model) => model.id === chosen)) made.push(el("option", { value: chosen, text: word("gone_model", { name: chosen }) }));
    for (const [kind, list] of groups) if (list.length) made.push(el("optgroup", { label: word(`kind.${kind}`) }, ...list));
    return made;
  }
  function picker(slot, at) {
    const box = el("select", { id: `chat-lane-${at}`, "aria-label": word("model", { n: at + 1 }) }, ...options(slot, C.slots.filter((other) => other !== slot)));
    box.value = slot;
    box.addEventListener("change", () => { C.slots[at] = box.value; changed(); });
    const drop = C.slots.length > 1 && C.act("close", `drop-${at}`, () => {
      C.slots.splice(at, 1);
      changed();
      $(`#chat-lane-${Math.min(at, C.slots.length - 1)}`).focus();
    }, word("drop_model", { name: slot ? C.laneName(slot) : word("model", { n: at + 1 }) }));
    return el("div", { class: "f-lane" }, box, drop);
  }
  function changed() {
    const lanes = C.slots.filter(Boolean);
    // A conversation that was begun keeps its models until another one is chosen.
    if (lanes.length || !C.doc.id) {
      C.kept("models", lanes);
      C.change({ lanes, ...(lanes.length < 2 && C.doc.blind ? { blind: false } : {}) });
    }
    C.drawLanes();
    C.say(null);
    C.onState?.();
  }

  /* Take over the lanes of the conversation; an empty picker stays where somebody is choosing. */
  C.takeLanes = () => {
    const chosen = C.slots.filter(Boolean);
    if (chosen.join("\n") !== C.doc.lanes.join("\n")) C.slots = [...C.doc.lanes];
    if (!C.slots.length) C.slots = [""];
  };
  C.drawLanes = () => {
    const hidden = C.isHidden(C.doc), room = $("#chat-lanes"), focused = document.activeElement?.id;
    room.replaceChildren(...(hidden ? [...C.doc.lanes.map((lane) => el("span", { class: "f-lane-hidden", text: C.laneName(lane) })),
      el("span", { class: "f-quiet", text: word("hidden") })] : C.slots.map(picker)));
    if (focused && room.querySelector(`#${CSS.escape(focused)}`)) document.getElementById(focused).focus();
    const add = $("#chat-lane-add");
    add.hidden = hidden || C.slots.length >= MOST;
    add.querySelector("span").textContent = word("add_model");
    const blind = $("#chat-blind");
    blind.checked = Boolean(C.doc.blind);
    blind.disabled = !C.doc.blind && C.slots.filter(Boolean).length < 2;
    blind.closest("label").title = word(blind.disabled ? "blind_needs" : "blind_help");
  };
  C.wireModels = () => {
    $("#chat-lane-add").addEventListener("click", () => {
      C.slots.push("");
      C.drawLanes();
      $(`#chat-lane-${C.slots.length - 1}`).focus();
    });
    $("#chat-blind").addEventListener("change", (event) => {
      C.change({ blind: event.target.checked });
      C.flush();
      C.drawLanes();
    });
    $("#chat-lanes").addEventListener("focusin", async (event) => {
      if (!event.target.matches("select") || Date.now() - refreshed < 10000) return;
      refreshed = Date.now();
      const before = JSON.stringify(C.models);
      await C.loadModels();
      if (JSON.stringify(C.models) !== before) C.drawLanes();
    });
  };
  let refreshed = Date.now();
})();
