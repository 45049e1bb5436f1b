/* The Evaluate page: its form opens and closes, and what is looked at stands in the address. */
(function () {
  "use strict";
  const $ = (selector, root) => (root || document).querySelector(selector);
  const $$ = (selector, root) => [...(root || document).querySelectorAll(selector)];
  const query = () => new URLSearchParams(location.search);
  let opened = null, shown = location.search, focus = null, top = false;

  /* The form: open where it was asked for, and where there is nothing else to see. */
  function wanted() {
    if (query().has("run")) return false;
    return opened ?? (["model", "clone", "data", "new"].some((key) => query().has(key)) || !!$("#evaluate-empty"));
  }
  function showForm() {
    const one = query().has("run"), open = wanted();
    for (const [selector, off] of [[".f-evaluate-head", one], ["#kind-body", !open], ["#evaluate-said", !open]]) {
      const element = $(selector);
      if (element && element.hasAttribute("data-off") !== off) element.toggleAttribute("data-off", off);
    }
    const draft = $("#kind-draft");
    if (draft && !open && !draft.hidden) draft.hidden = true;
    $("#evaluate-new")?.setAttribute("aria-expanded", String(open));
  }
  /* A problem in a folded part opens it once, or nobody would see it. */
  function unfold() {
    $$("#kind-form details:not([open])").forEach((part) => {
      const wrong = $("[data-wrong]:not([data-off])", part);
      if (wrong && part.dataset.unfolded !== wrong.id) { part.dataset.unfolded = wrong.id; part.open = true; }
    });
  }

  /* What is looked at: the address changes, the server draws it. */
  function look(href, push) {
    const target = new URL(href, document.baseURI);
    if (push && target.search !== location.search) history.pushState(null, "", target.pathname + target.search);
    shown = location.search;
    const asked = Object.fromEntries(new URLSearchParams(location.search));
    window.finestraFormTools.tell("evaluate-look", JSON.stringify({ ...asked, at: Date.now() }));
  }
  function choose() {
    const form = $("#evaluate-filter");
    if (!form) return;
    const next = query();
    for (const [key, value] of new FormData(form)) {
      if (value) next.set(key, value); else next.delete(key);
    }
    next.delete("page");
    focus = document.activeElement?.id || null;
    look(`./evaluate?${next}`, true);
  }
  document.addEventListener("submit", (event) => {
    if (event.target.id !== "evaluate-filter") return;
    event.preventDefault();
    choose();
  });
  document.addEventListener("change", (event) => {
    const form = event.target.closest?.("#evaluate-filter");
    if (!form) return;
    /* Another dataset has other scores and mistakes. */
    if (event.target.name === "dataset") $$("[name=metric], [name=mistake]", form).forEach((one) => { one.value = ""; });
    choose();
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("#evaluate-new")) {
      opened = !wanted();
      showForm();
      if (opened) $("#field-models-in")?.focus();
      return;
    }
    const fold = event.target.closest?.("a[data-field]") && document.getElementById(event.target.closest("a").dataset.field)?.closest("details");
    if (fold) fold.open = true;
    const link = event.target.closest?.("a[data-look]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    top = link.hasAttribute("data-top") || !link.closest("#evaluate-cases");
    focus = link.id || null;
    look(link.href, true);
  });
  window.addEventListener("popstate", () => { if (location.search !== shown) look(location.href, false); });

  /* After a redraw the keyboard stays where it was. */
  function settle() {
    if (focus && document.activeElement === document.body) {
      const element = document.getElementById(focus);
      if (element) { element.focus({ preventScroll: true }); focus = null; }
    }
    if (top && $("#evaluate-cases")) {
      top = false;
      $("#evaluate-cases").scrollIntoView({ block: "start" });
    }
  }

  let waiting = false;
  new MutationObserver(() => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; showForm(); unfold(); settle(); });
  }).observe(document.documentElement, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-wrong"] });
})();
