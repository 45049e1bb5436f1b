/* Tools: their definitions as JSON, the calls of a model, a form for what each tool answers. */
(function () {
  "use strict";
  const C = window.finestraChat, $ = C.$, el = C.el, word = C.word;
  const EXAMPLE = [{ type: "function", function: { name: "get_weather", description: "The weather of a place, now",
    parameters: { type: "object", properties: { place: { type: "string", description: "A town" } }, required: ["place"] } } }];

  function pretty(text) {
    try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return String(text ?? ""); }
  }
  const keyOf = (answer, call) => `tool ${C.doc.id} ${answer.id} ${call.id}`;
  const later = (turn) => {
    const path = C.path(C.doc);
    return path.slice(path.findIndex((one) => one.id === turn.id) + 1);
  };
  const isAnswered = (turn, lane) => later(turn).some((one) => one.lane === lane || !one.lane);
  /* Two lanes may both wait for tools: what one was told stands below what the other was told. */
  const below = (turn, lane) => {
    const others = later(turn);
    return others.length && others.every((one) => one.lane && one.lane !== lane) ? others.at(-1).id : turn.id;
  };

  /* The calls of an answer; with a form below them while nobody has answered. */
  C.calls = (turn, lane, answer) => {
    const open = !isAnswered(turn, lane);
    const parts = answer.tool_calls.map((call, at) => {
      const name = call.function?.name || "";
      const box = open && el("textarea", { rows: "2", class: "f-code-in", spellcheck: "false", data: { call: call.id },
        "aria-label": word("tool_answer", { name }), placeholder: word("tool_answer", { name }),
        oninput: (event) => C.drafts.set(keyOf(answer, call), event.target.value) });
      if (box) box.value = C.drafts.get(keyOf(answer, call)) || "";
      return el("div", { class: "f-call", data: { tool: name } }, el("p", {}, el("span", { class: "f-quiet", text: word("calls") }), " ", el("code", { text: name })),
        el("pre", { tabindex: "0", "aria-label": word("arguments"), text: pretty(call.function?.arguments) }), box);
    });
    if (!open) return parts;
    const missing = el("p", { class: "f-error", role: "alert", hidden: true, text: word("tool_missing") });
    const send = async () => {
      const inputs = answer.tool_calls.map((call) => ({ role: "tool", tool_call_id: call.id, content: C.drafts.get(keyOf(answer, call)) || "" }));
      missing.hidden = inputs.every((input) => input.content.trim());
      if (!missing.hidden) return;
      C.followEnd();
      await C.ask("POST", C.here("/turns"), { parent: below(turn, lane), lane, inputs });
    };
    return [...parts, missing, el("div", { class: "f-actions" }, C.button("tool_send", send, "f-primary"))];
  };

  /* Return what is wrong with tool definitions, or '' and the tools. */
  C.readTools = (text) => {
    if (!text.trim()) return ["", []];
    let tools;
    try { tools = JSON.parse(text); } catch (error) { return [word("tools_json", { why: error.message }), null]; }
    if (!Array.isArray(tools)) return [word("tools_list"), null];
    const names = new Set();
    for (const [at, tool] of tools.entries()) {
      const made = tool?.function, name = made?.name;
      if (typeof name !== "string" || !/^[\w-]{1,64}$/.test(name)) return [word("tools_name", { n: at + 1 }), null];
      if (names.has(name)) return [word("tools_twice", { name }), null];
      names.add(name);
      const given = made.parameters;
      if (given !== undefined && (given === null || typeof given !== "object" || Array.isArray(given) || (given.type !== undefined && given.type !== "object"))) {
        return [word("tools_parameters", { name }), null];
      }
    }
    return ["", tools.map((tool) => ({ type: "function", ...tool }))];
  };
  function check() {
    const box = $("#chat-tools"), said = $("#chat-tools-said");
    const [wrong, tools] = C.readTools(box.value);
    said.className = wrong ? "f-error" : "f-quiet";
    said.textContent = wrong || (tools.length ? word("tools_some", { n: tools.length, names: tools.map((tool) => tool.function.name).join(", ") }) : "");
    box.toggleAttribute("data-wrong", Boolean(wrong));
    box.setAttribute("aria-invalid", String(Boolean(wrong)));
    return tools;
  }
  C.showTools = () => {
    const box = $("#chat-tools");
    if (document.activeElement === box) return;
    box.value = C.doc.tools?.length ? JSON.stringify(C.doc.tools, null, 2) : "";
    check();
  };
  C.wireTools = () => {
    $("#chat-tools").addEventListener("input", () => {
      const tools = check();
      if (tools) C.change({ tools });
    });
    $("#chat-tools-example").addEventListener("click", () => {
      $("#chat-tools").value = JSON.stringify(EXAMPLE, null, 2);
      $("#chat-tools").dispatchEvent(new Event("input"));
    });
  };
})();
