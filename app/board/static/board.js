/* The board's own behaviour: language, theme, picking runs, copying, asking, the log's end, being offline. */
(function () {
  "use strict";
  const $ = (selector, root) => (root || document).querySelector(selector);
  const $$ = (selector, root) => [...(root || document).querySelectorAll(selector)];
  const title = document.title;

  function root() {
    return new URL("./", document.baseURI).pathname;
  }

  function setLocale(locale) {
    document.cookie = `finestra_locale=${locale}; path=${root()}; max-age=31536000; samesite=lax`;
    location.reload();
  }

  /* Runs picked for a comparison; kept in the tab, so that a redraw or a refresh loses nothing. */
  function picked() {
    try { return JSON.parse(sessionStorage.getItem("finestra_picked") || "[]"); } catch { return []; }
  }
  function pick(id, on) {
    const ids = picked().filter((other) => other !== id);
    if (on) ids.push(id);
    sessionStorage.setItem("finestra_picked", JSON.stringify(ids.slice(-6)));
    showPicked();
  }
  function showPicked() {
    const boxes = $$(".f-pick");
    const button = $("#runs-compare-button");
    if (!button) return;
    const there = new Set(boxes.map((box) => box.value));
    const ids = picked().filter((id) => there.has(id));
    boxes.forEach((box) => { box.checked = ids.includes(box.value); });
    const ready = ids.length > 1;
    button.setAttribute("aria-disabled", String(!ready));
    if (ready) button.href = "./?compare=" + ids.map(encodeURIComponent).join(",");
    else button.removeAttribute("href");
    $("#runs-compare-count").textContent = ids.length ? ` ${ids.length}` : "";
  }

  async function copy(button) {
    const source = document.getElementById(button.dataset.copy);
    if (!source) return;
    const words = source.textContent;
    try {
      await navigator.clipboard.writeText(words);
    } catch {
      const range = document.createRange();
      range.selectNodeContents(source);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      document.execCommand("copy");
    }
    const before = button.textContent;
    button.textContent = button.dataset.done || "✓";
    setTimeout(() => { button.textContent = before; }, 1400);
  }

  /* The log stays at its end while the box "Follow" is ticked. */
  function followLog() {
    const log = $("#run-log");
    const box = $("#run-log-follow input");
    if (log && (!box || box.checked) && log.dataset.placed !== String(log.textContent.length)) {
      log.scrollTop = log.scrollHeight;
      log.dataset.placed = String(log.textContent.length);
    }
  }

  /* The Run page's question goes to the Chat page. That it was asked here stands in the tab: a
     question in an address alone is not sent. A long one does not fit into an address. */
  function ask(form) {
    const box = $("textarea", form), question = box.value.trim();
    if (!question) { box.focus(); return; }
    let said = encodeURIComponent(question);
    try {
      sessionStorage.setItem("finestra_chat_ask", question);
      if (said.length > 6000) said = "";
    } catch { /* a private window */ }
    location.assign(`${form.dataset.address}&ask=${said}`);
  }

  let failures = 0;
  async function pulse() {
    try {
      const answer = await fetch("./api/health", { cache: "no-store" });
      failures = answer.ok ? 0 : failures + 1;
    } catch {
      failures += 1;
    }
    const banner = $("#f-offline");
    if (banner) banner.hidden = failures < 2;
    document.documentElement.classList.toggle("f-is-offline", failures > 0);
  }

  document.addEventListener("click", (event) => {
    const target = event.target.closest("button, a");
    if (!target) return;
    if (target.dataset.locale) setLocale(target.dataset.locale);
    else if (target.id === "theme-toggle") window.finestraTheme.toggle();
    else if (target.dataset.copy) copy(target);
    else if (target.getAttribute("aria-disabled") === "true") event.preventDefault();
  });
  document.addEventListener("submit", (event) => {
    if (event.target.id !== "run-chat-form") return;
    event.preventDefault();
    ask(event.target);
  });
  document.addEventListener("keydown", (event) => {
    if (event.target.id !== "run-chat-prompt" || event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    ask(event.target.form);
  });
  document.addEventListener("change", (event) => {
    if (event.target.classList.contains("f-pick")) pick(event.target.value, event.target.checked);
  });

  let waiting = false;
  new MutationObserver(() => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      showPicked();
      followLog();
      if (window.finestraCharts) window.finestraCharts();
      if (window.finestraForm) window.finestraForm();
      if (window.finestraData) window.finestraData();
      const name = $(".f-hero h1");
      const wanted = name ? `${name.firstChild.textContent.trim()} · Finestra` : title;
      if (document.title !== wanted) document.title = wanted;
    });
  }).observe(document.documentElement, { childList: true, subtree: true });
  setInterval(pulse, 2000);
})();
