/* The widgets of the Train form: native inputs, names with a list to choose from, chips, rewards. */
(function () {
  "use strict";
  const $ = (selector, root) => (root || document).querySelector(selector);
  const $$ = (selector, root) => [...(root || document).querySelectorAll(selector)];
  const make = (tag, props, ...children) => {
    const element = Object.assign(document.createElement(tag), props);
    element.append(...children);
    return element;
  };
  const known = { choices: {}, fits: {}, consents: {} };
  const words = () => JSON.parse($("#train-words")?.dataset.words || "{}");
  const nameOf = (use) => (typeof use === "string" ? use : use.name || "");
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

  function changed(field) { field.dispatchEvent(new Event("finestra-field", { bubbles: true })); }

  function read(field) {
    const input = $("input, select, textarea", field);
    switch (field.dataset.kind) {
      case "tick": return input.checked;
      case "radio": case "objective": return $("input:checked", field)?.value ?? "";
      case "datasets": case "rewards": return field.uses || [];
      default: return input.value;
    }
  }

  function write(field, raw) {
    const input = $("input, select, textarea", field);
    field.dataset.done = "";
    switch (field.dataset.kind) {
      case "tick": input.checked = raw === true; break;
      case "radio": case "objective":
        $$("input", field).forEach((one) => { one.checked = one.value === String(raw); });
        describe(field);
        break;
      case "datasets":
        field.uses = Array.isArray(raw) ? raw : [];
        chips(field);
        break;
      case "rewards":
        field.uses = Array.isArray(raw) ? raw.map((use) => ({ ...use })) : [];
        rewards(field);
        break;
      default: input.value = raw ?? "";
    }
  }

  function describe(field) {
    const about = $(".f-about", field), chosen = $("input:checked", field);
    const said = chosen?.closest("label").dataset.about || "";
    if (about && about.textContent !== said) about.textContent = said;
  }

  /* Datasets: a chip each; its weight stands in it once there are several. */
  function chips(field) {
    const box = $(".f-chips", field), said = words(), uses = field.uses;
    box.replaceChildren(...uses.map((use, at) => {
      const name = nameOf(use);
      const chip = make("span", { className: "f-chosen" }, make("b", { textContent: shown(field, name) }));
      chip.toggleAttribute("data-odd", !fits(name));
      if (!fits(name)) chip.title = said.others;
      const more = typeof use === "string" ? [] : Object.entries(use)
        .filter(([key]) => !["name", "weight"].includes(key)).map(([key, value]) => `${key}=${value}`);
      if (more.length) chip.append(make("small", { textContent: more.join(", ") }));
      if (uses.length > 1) chip.append(...(field.hasAttribute("data-plain") ? placeOf(field, at, said) : [weight(field, at, said)]));
      const remove = make("button", { type: "button", textContent: "×" });
      remove.setAttribute("aria-label", `${said.remove} ${shown(field, name)}`);
      remove.addEventListener("click", () => {
        field.uses = uses.filter((_, other) => other !== at);
        chips(field); changed(field); $("input[role=combobox]", field).focus();
      });
      chip.append(remove);
      return chip;
    }));
    suggest(field);
  }
  /* Names that stand for themselves have no weight; of some the first is what others are compared with. */
  function shown(field, name) {
    if (!field.hasAttribute("data-plain")) return name;
    return (known.choices[field.dataset.path] || []).find(([, value]) => value === name)?.[0] || name;
  }
  function placeOf(field, at, said) {
    if (!field.dataset.first) return [];
    if (!at) return [make("small", { textContent: field.dataset.first })];
    const up = make("button", { type: "button", textContent: "↑", title: said.to_first });
    up.setAttribute("aria-label", `${said.to_first}: ${shown(field, nameOf(field.uses[at]))}`);
    up.addEventListener("click", () => {
      field.uses = [field.uses[at], ...field.uses.filter((_, other) => other !== at)];
      chips(field); changed(field); $("input[role=combobox]", field).focus();
    });
    return [up];
  }
  /* Where something chosen does not fit the objective: what would, to take in its place. */
  function suggest(field) {
    const line = $(".f-suggest", field) || make("p", { className: "f-suggest" });
    const uses = field.uses || [];
    const odd = uses.some((use) => !fits(nameOf(use)));
    const found = !odd ? [] : (known.choices[field.dataset.path] || []).map(([, value]) => value)
      .filter((value) => fits(value) && !uses.some((use) => nameOf(use) === value)).slice(0, 3);
    const shown = found.join("\n");
    if (line.dataset.shown === shown) return;
    line.dataset.shown = shown;
    line.hidden = !found.length;
    line.replaceChildren(`${words().fits}: `, ...found.map((value) => {
      const take = make("button", { type: "button", className: "f-link", textContent: value });
      take.addEventListener("click", () => {
        field.uses = [...field.uses.filter((use) => fits(nameOf(use))), value];
        chips(field); changed(field);
      });
      return take;
    }));
    if (!line.isConnected) $(".f-combo", field).after(line);
  }
  function weight(field, at, said) {
    const use = field.uses[at];
    const input = make("input", { type: "text", className: "f-weight", placeholder: "1",
      value: typeof use === "string" ? "" : use.weight ?? "", title: said.weight_help });
    input.setAttribute("aria-label", `${said.weight}: ${nameOf(use)}`);
    input.addEventListener("input", (event) => {
      event.stopPropagation();
      const rest = typeof field.uses[at] === "string" ? { name: field.uses[at] }
        : { ...field.uses[at] };
      delete rest.weight;
      if (input.value.trim()) rest.weight = input.value.trim();
      field.uses = field.uses.map((one, other) => (other !== at ? one
        : same(Object.keys(rest), ["name"]) ? rest.name : rest));
      changed(field);
    });
    return input;
  }
  function objective() {
    return $("#field-objective input:checked")?.value || "sft";
  }
  function fits(name) {
    const can = known.fits[name];
    return !can || !can.length || can.includes(objective());
  }
  function refit() {
    $$("[data-kind=datasets]").forEach((field) => {
      suggest(field);
      $$(".f-chosen", field).forEach((chip, at) => {
        const odd = field.uses?.[at] !== undefined && !fits(nameOf(field.uses[at]));
        chip.toggleAttribute("data-odd", odd);
        chip.title = odd ? words().others : "";
      });
    });
  }

  /* The list below a field that takes names. */
  function options(input, all) {
    const field = input.closest("[data-path]"), said = words();
    const typed = all ? "" : input.value.trim().toLowerCase();
    const several = field.dataset.kind === "datasets";
    const taken = new Set(several ? (field.uses || []).map(nameOf) : []);
    const found = (known.choices[field.dataset.path] || []).filter(([label, value]) =>
      !taken.has(value) && (label + " " + value).toLowerCase().includes(typed));
    if (!several) return [["", found]];
    const parts = [[said.fits, found.filter(([, v]) => fits(v))],
      [said.others, found.filter(([, v]) => !fits(v))]];
    return parts.filter(([, items]) => items.length);
  }
  function open(input, all) {
    const list = $(".f-list-of", input.parentElement);
    const parts = options(input, all);
    let number = 0;
    list.replaceChildren(...parts.flatMap(([heading, items]) => [
      ...(heading ? [make("li", { className: "f-list-head", role: "presentation",
        textContent: heading })] : []),
      ...items.map(([label, value]) => {
        const item = make("li", { textContent: label, id: `${list.id}-${number++}`, role: "option" });
        item.dataset.value = value;
        item.setAttribute("aria-selected", String(value === input.value));
        return item;
      })]));
    list.hidden = !number;
    input.setAttribute("aria-expanded", String(!list.hidden));
    input.removeAttribute("aria-activedescendant");
  }
  function close(input) {
    const list = $(".f-list-of", input.parentElement);
    if (list) list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }
  function point(input, by) {
    const list = $(".f-list-of", input.parentElement);
    if (list.hidden) { open(input, true); if (list.hidden) return; }
    const items = $$("[role=option]", list);
    const now = items.findIndex((item) => item.hasAttribute("data-at"));
    const next = items[(now + by + items.length) % items.length];
    items.forEach((item) => item.toggleAttribute("data-at", item === next));
    input.setAttribute("aria-activedescendant", next.id);
    next.scrollIntoView({ block: "nearest" });
  }
  function take(input, value) {
    const field = input.closest("[data-path]");
    if (field.dataset.kind === "datasets") {
      if (!value.trim()) return;
      if (!(field.uses || []).some((use) => nameOf(use) === value)) {
        field.uses = [...(field.uses || []), value.trim()];
      }
      input.value = "";
      chips(field);
    } else input.value = value;
    close(input);
    changed(field);
  }
  function key(event) {
    const input = event.target;
    const at = $("[data-at]", input.parentElement);
    const field = input.closest("[data-path]");
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      point(input, event.key === "ArrowDown" ? 1 : -1);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (at) take(input, at.dataset.value);
      else if (field.dataset.kind === "datasets") take(input, input.value);
      else close(input);
    } else if (event.key === "Escape") close(input);
    else if (event.key === "Backspace" && !input.value && field.uses?.length) {
      field.uses = field.uses.slice(0, -1);
      chips(field); changed(field);
    }
  }
  const isCombo = (target) => target.matches?.(".f-combo input[role=combobox]");
  document.addEventListener("focusin", (event) => { if (isCombo(event.target)) open(event.target, true); });
  document.addEventListener("click", (event) => {
    if (isCombo(event.target)) open(event.target, true);
  });
  document.addEventListener("mousedown", (event) => {
    const item = event.target.closest?.(".f-list-of li");
    if (!item) return;
    event.preventDefault();
    const input = $("input[role=combobox]", item.closest(".f-combo"));
    if (item.dataset.value !== undefined) take(input, item.dataset.value);
  });
  document.addEventListener("focusout", (event) => {
    if (!isCombo(event.target)) return;
    const field = event.target.closest("[data-path]");
    if (field.dataset.kind === "datasets" && event.target.value.trim()) {
      take(event.target, event.target.value);
    } else close(event.target);
  });
  document.addEventListener("keydown", (event) => { if (isCombo(event.target)) key(event); });
  document.addEventListener("input", (event) => { if (isCombo(event.target)) open(event.target); });

  /* Rewards: a row each, with the settings that its function has. */
  function rewards(field) {
    const box = $(".f-rewards", field), told = JSON.parse(box.dataset.rewards);
    box.replaceChildren(...field.uses.map((use, at) => row(field, told, use, at)));
    consent(field);
  }
  function row(field, told, use, at) {
    const kind = make("select", {});
    kind.setAttribute("aria-label", field.querySelector("legend").textContent);
    const names = Object.entries(told.kinds).map(([name, one]) => [name, one.label]);
    if (!told.kinds[use.name]) names.unshift([use.name, use.name]);
    kind.append(...names.map(([value, label]) => make("option", { value, textContent: label,
      selected: value === use.name })));
    kind.addEventListener("input", (event) => event.stopPropagation());
    kind.addEventListener("change", () => {
      field.uses[at] = { name: kind.value, ...(use.weight ? { weight: use.weight } : {}) };
      rewards(field); changed(field);
      $$(".f-reward > select", field)[at]?.focus();
    });
    const needed = told.kinds[use.name]?.needed || [];
    const settings = (told.kinds[use.name]?.keys || []).map((name) => {
      const one = told.keys[name];
      const input = make(one.long ? "textarea" : "input", { value: use[name] ?? "", rows: 2,
        placeholder: name === "weight" ? "1" : needed.includes(name) ? "" : told.words.optional });
      input.required = needed.includes(name);
      if (!one.long) input.setAttribute("type", "text");
      input.spellcheck = false;
      input.addEventListener("input", (event) => {
        event.stopPropagation();
        use[name] = input.value;
        if (name === "path") delete use.sha256;
        changed(field);
      });
      return make("label", { className: `f-set f-set-${name}` }, make("span", { textContent: one.label }), input);
    });
    if (use.name === "python") settings.push(consentBox(field, told, use));
    const remove = make("button", { type: "button", className: "f-x", textContent: "×" });
    remove.setAttribute("aria-label", told.words.remove);
    remove.addEventListener("click", () => {
      field.uses.splice(at, 1);
      rewards(field); changed(field);
      ($(".f-reward:last-child select", field) || $("#train-reward-add")).focus();
    });
    return make("div", { className: "f-reward" }, kind, ...settings, remove);
  }
  /* A person's own file runs only with its own fingerprint, which the server tells. */
  function consentBox(field, told, use) {
    const check = make("input", { type: "checkbox", className: "f-consent" });
    check.use = use;
    check.addEventListener("input", (event) => event.stopPropagation());
    check.addEventListener("change", () => {
      if (check.checked) use.sha256 = known.consents[use.path] || "";
      else delete use.sha256;
      changed(field);
    });
    return make("label", { className: "f-tick" }, check, make("span", { textContent: told.words.consent }));
  }
  function consent(field) {
    $$(".f-consent", field).forEach((check) => {
      const hash = known.consents[check.use.path];
      check.disabled = !hash;
      check.checked = !!hash && check.use.sha256 === hash;
    });
  }
  document.addEventListener("click", (event) => {
    if (event.target.id !== "train-reward-add") return;
    const field = event.target.closest("[data-path]");
    field.uses = [...(field.uses || []), { name: "exact_answer" }];
    rewards(field); changed(field);
    $(".f-reward:last-child select", field)?.focus();
  });

  window.finestraFields = { known, read, write, describe, refit, consent };
})();
