/* Markdown of answers as elements: code, bold, lists, tables. Nothing is ever read as HTML, links are
   shown as they were written, and no picture is fetched. */
(function () {
  "use strict";
  const C = window.finestraChat, el = C.el;
  const LONGEST = 200000, LONGEST_LINE = 6000, DEEPEST = 6;
  const INLINE = /(`+)([^`]|[^`][\s\S]*?[^`])\1(?!`)|\*\*(?=\S)([\s\S]*?\S)\*\*|\*(?=[^\s*])([^*\n]*?[^\s*]|[^\s*])\*|(?<!\w)__(?=\S)([\s\S]*?\S)__(?!\w)|(?<!\w)_(?=[^\s_])([^_\n]*?[^\s_]|[^\s_])_(?!\w)|~~(?=\S)([\s\S]*?\S)~~/g;
  const FENCE = /^ {0,3}(`{3,}|~{3,})[ \t]*([\w+#.-]*)/;
  const HEAD = /^ {0,3}(#{1,6})[ \t]+(.*?)[ \t#]*$/;
  const RULE = /^ {0,3}([-*_])([ \t]*\1){2,}[ \t]*$/;
  const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])[ \t]+(.*)$/;
  const TABLE = /^\s*\|?[ \t]*:?-+:?[ \t]*(\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;

  function inline(text, depth) {
    if (text.length > LONGEST_LINE || depth > DEEPEST) return [text];
    const found = [];
    let at = 0;
    for (const match of text.matchAll(INLINE)) {
      if (match.index > at) found.push(text.slice(at, match.index));
      const [whole, , code, bold, italic, bold2, italic2, gone] = match;
      if (code !== undefined) found.push(el("code", { text: code }));
      else if (bold ?? bold2) found.push(el("strong", {}, ...inline(bold ?? bold2, depth + 1)));
      else if (italic ?? italic2) found.push(el("em", {}, ...inline(italic ?? italic2, depth + 1)));
      else found.push(el("s", {}, ...inline(gone, depth + 1)));
      at = match.index + whole.length;
    }
    if (at < text.length) found.push(text.slice(at));
    return found;
  }

  function code(lines, at, fence) {
    const body = [];
    let end = at + 1;
    const closing = new RegExp(`^ {0,3}${fence[1][0] === "`" ? "`" : "~"}{${fence[1].length},}[ \\t]*$`);
    while (end < lines.length && !closing.test(lines[end])) body.push(lines[end++]);
    const text = body.join("\n");
    const copy = el("button", { type: "button", class: "f-link", text: C.word("copy_code"), onclick: (event) => C.copy(text, event.currentTarget) });
    return [el("figure", { class: "f-md-code" }, el("figcaption", {}, el("span", { text: fence[2] }), copy),
      el("pre", { tabindex: "0" }, el("code", { text }))), end + 1];
  }

  function list(lines, at, depth) {
    const first = lines[at].match(ITEM);
    const ordered = /\d/.test(first[2]), margin = first[1].length;
    const made = el(ordered ? "ol" : "ul", ordered && parseInt(first[2], 10) !== 1 ? { start: parseInt(first[2], 10) } : {});
    while (at < lines.length) {
      const item = lines[at].match(ITEM);
      if (!item || item[1].length > margin + 1 || item[1].length < margin || /\d/.test(item[2]) !== ordered) break;
      const body = [item[3]];
      const inner = margin + 2;
      for (at += 1; at < lines.length; at += 1) {
        const indent = lines[at].search(/\S/);
        if (indent < 0 ? !/^\s{2,}\S/.test(lines[at + 1] || "") : indent < inner) break;
        body.push(lines[at].slice(Math.min(indent < 0 ? 0 : indent, inner + item[2].length - 1)));
      }
      made.append(el("li", {}, ...blocks(body, depth + 1, true)));
      while (at < lines.length && !lines[at].trim() && (lines[at + 1] || "").match(ITEM)?.[1].length === margin) at += 1;
    }
    return [made, at];
  }

  function cells(line) {
    return line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
  }
  function table(lines, at) {
    const head = el("tr", {}, ...cells(lines[at]).map((cell) => el("th", { scope: "col" }, ...inline(cell, 0))));
    const rows = [];
    for (at += 2; at < lines.length && lines[at].includes("|"); at += 1) {
      rows.push(el("tr", {}, ...cells(lines[at]).map((cell) => el("td", {}, ...inline(cell, 0)))));
    }
    return [el("div", { class: "f-md-table", tabindex: "0" }, el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows))), at];
  }

  function quote(lines, at, depth) {
    const body = [];
    while (at < lines.length && /^ {0,3}>/.test(lines[at])) body.push(lines[at++].replace(/^ {0,3}> ?/, ""));
    return [el("blockquote", {}, ...blocks(body, depth + 1)), at];
  }

  function begins(lines, at, depth) {
    const line = lines[at];
    if (depth > DEEPEST) return null;
    const fence = line.match(FENCE);
    if (fence) return () => code(lines, at, fence);
    const head = line.match(HEAD);
    if (head) return () => [el("h4", { class: `f-md-h${head[1].length}` }, ...inline(head[2], 0)), at + 1];
    if (RULE.test(line)) return () => [el("hr"), at + 1];
    if (ITEM.test(line)) return () => list(lines, at, depth);
    if (/^ {0,3}>/.test(line)) return () => quote(lines, at, depth);
    if (line.includes("|") && TABLE.test(lines[at + 1] || "") && lines[at + 1].includes("|")) return () => table(lines, at);
    return null;
  }

  function blocks(lines, depth, tight) {
    const made = [];
    for (let at = 0; at < lines.length;) {
      const make = lines[at].trim() ? begins(lines, at, depth) : null;
      if (make) {
        const [block, next] = make();
        made.push(block);
        at = next;
      } else if (!lines[at].trim()) {
        at += 1;
      } else {
        const words = [lines[at++]];
        while (at < lines.length && lines[at].trim() && !begins(lines, at, depth)) words.push(lines[at++]);
        const content = inline(words.join("\n"), 0);
        if (tight && !made.length) made.push(el("span", {}, ...content));
        else made.push(el("p", {}, ...content));
      }
    }
    return made;
  }

  /* Return elements for an answer; as plain text where that is wished or it is very long. */
  C.markdown = (text) => (C.plain || text.length > LONGEST ? [el("p", { class: "f-md-plain", text })]
    : blocks(text.replace(/\r\n?/g, "\n").replace(/^\s+(?=\S)/, "").split("\n"), 0));
})();
