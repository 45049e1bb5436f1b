/* Curves of runs, drawn on canvas from the REST API: live, zoomable, readable without sight. */
(function () {
  "use strict";
  const ACTIVE = ["starting", "running", "stopping", "queued"];
  const COLOURS = ["--f-s1", "--f-s2", "--f-s3", "--f-s4", "--f-s5", "--f-s6"];
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const keep = {
    get(key, other) {
      try { return JSON.parse(localStorage.getItem("finestra_" + key)) ?? other; }
      catch { return other; }
    },
    set(key, value) {
      try { localStorage.setItem("finestra_" + key, JSON.stringify(value)); } catch { /* private */ }
    },
  };

  function show(value) {
    if (value === null || value === undefined) return "NaN";
    const size = Math.abs(value);
    if (!size) return "0";
    if (size < 1e-3 || size >= 1e5) return value.toExponential(2).replace("e-0", "e-");
    return size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(2) : value.toFixed(3);
  }
  function label(value) {
    if (!value) return "0";
    const size = Math.abs(value);
    if (size < 1e-3 || size >= 1e5) return value.toExponential().replace(/(\.\d{2})\d+/, "$1");
    return String(+value.toPrecision(4));
  }

  function ticks(low, high, wanted) {
    const span = high - low || 1;
    const rough = span / wanted, power = Math.pow(10, Math.floor(Math.log10(rough)));
    const step = [1, 2, 2.5, 5, 10].map((k) => k * power).find((k) => k >= rough);
    const found = [];
    for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-6; v += step) {
      found.push(Math.abs(v) < step * 1e-6 ? 0 : v);
    }
    return found;
  }
  function logTicks(low, high) {
    const found = [];
    const few = Math.log10(high / low) > 2;
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++) {
      for (const k of few ? [1] : [1, 1.5, 2, 3, 5, 7]) {
        const v = k * Math.pow(10, e);
        if (v >= low * .999 && v <= high * 1.001) found.push(v);
      }
    }
    return found.length > 1 ? found : ticks(low, high, 4).filter((v) => v > 0);
  }

  class Chart {
    constructor(panel, words, parent) {
      this.panel = panel; this.words = words; this.lines = []; this.zoom = null; this.hover = null;
      this.log = !!panel.log && keep.get("log_" + panel.key, false);
      this.along = panel.x ? { f: Math.log10, back: (v) => Math.pow(10, v) }
        : { f: (v) => v, back: (v) => v };
      const card = document.createElement("section");
      card.className = "f-card" + (panel.wide ? " f-wide" : "");
      card.dataset.chart = panel.key;
      card.innerHTML = '<div class="f-chart-head"><h2></h2><div class="f-chart-tools"></div></div>' +
        '<div class="f-canvas"><canvas role="img" tabindex="0"></canvas>' +
        '<div class="f-tip" hidden></div></div><div class="f-legend"></div>';
      card.querySelector("h2").textContent = panel.title;
      this.card = card;
      this.canvas = card.querySelector("canvas");
      this.tip = card.querySelector(".f-tip");
      this.legend = card.querySelector(".f-legend");
      this.tools(card.querySelector(".f-chart-tools"));
      this.pointer();
      parent.append(card);
      new ResizeObserver(() => this.draw()).observe(this.canvas);
    }

    tools(box) {
      this.reset = this.button(box, this.words.reset, () => this.setZoom(null));
      this.reset.hidden = true;
      if (this.panel.wide && !this.panel.x) {
        const range = document.createElement("label");
        range.append(this.words.smoothing);
        const input = document.createElement("input");
        Object.assign(input, { type: "range", min: 0, max: 98, value: 100 * weight() });
        let waiting;
        input.addEventListener("input", () => {
          keep.set("smooth", input.value / 100);
          clearTimeout(waiting);
          waiting = setTimeout(() => all.forEach((area) => area.read()), 120);
        });
        range.append(input);
        box.append(range);
      }
      if (this.panel.log) box.append(this.logBox());
      const png = this.button(box, this.words.png, () => this.save());
      png.setAttribute("aria-label", this.words.png_label);
    }

    logBox() {
      const box = document.createElement("label");
      const check = document.createElement("input");
      Object.assign(check, { type: "checkbox", checked: this.log });
      check.addEventListener("change", () => { this.log = check.checked;
        keep.set("log_" + this.panel.key, this.log); this.draw(); });
      box.append(check, this.words.log);
      return box;
    }

    button(box, text, act) {
      const button = document.createElement("button");
      button.type = "button"; button.textContent = text;
      button.addEventListener("click", act);
      box.append(button);
      return button;
    }

    setZoom(zoom) { this.zoom = zoom; this.reset.hidden = !zoom; this.draw(); }

    pointer() {
      const at = (event) => (event.clientX - this.canvas.getBoundingClientRect().left);
      this.canvas.title = this.words.hint;
      this.canvas.addEventListener("pointermove", (event) => { this.hover = at(event); this.draw(); });
      this.canvas.addEventListener("pointerleave", () => { this.hover = null; this.draw(); });
      this.canvas.addEventListener("pointerdown", (event) => {
        if (event.pointerType === "touch") return;
        this.from = at(event); this.canvas.setPointerCapture(event.pointerId); });
      this.canvas.addEventListener("pointerup", (event) => {
        if (this.from === undefined || !this.frame) return;
        const [a, b] = [this.from, at(event)].sort((x, y) => x - y).map(this.frame.stepAt);
        const wide = Math.abs(at(event) - this.from) > 8;
        this.from = undefined;
        if (wide) this.setZoom([a, b]); else this.draw();
      });
      this.canvas.addEventListener("dblclick", () => this.setZoom(null));
      this.canvas.addEventListener("keydown", (event) => {
        if (event.key === "Escape") this.setZoom(null); });
    }

    save() {
      const link = document.createElement("a");
      const copy = document.createElement("canvas");
      copy.width = this.canvas.width; copy.height = this.canvas.height;
      const pen = copy.getContext("2d");
      pen.fillStyle = css("--f-card");
      pen.fillRect(0, 0, copy.width, copy.height);
      pen.drawImage(this.canvas, 0, 0);
      link.href = copy.toDataURL("image/png");
      link.download = this.panel.key + ".png";
      link.click();
    }

    set(lines) {
      this.lines = lines;
      this.card.hidden = !lines.some((line) => line.points.length);
      this.card.dataset.points = Math.max(0, ...lines.map((line) => line.points.length));
      this.describe();
      this.draw();
    }

    describe() {
      const said = [];
      this.legend.replaceChildren(...this.lines.filter((l) => l.points.length).map((line) => {
        const [step, value] = line.points[line.points.length - 1];
        const item = document.createElement("span"), key = document.createElement("i");
        const last = document.createElement("b");
        key.className = "f-key"; key.style.background = `var(${line.colour})`;
        last.textContent = show(value);
        item.append(key, line.name, last);
        said.push(`${line.name}: ${show(value)} (${this.at(step)})`);
        return item;
      }));
      this.canvas.setAttribute("aria-label",
        `${this.panel.title}. ${said.join(", ")}`);
    }

    at(x) {
      return this.panel.x ? `${this.words.rate} ${show(x)}`
        : `${this.words.step} ${x.toLocaleString("en")}`;
    }

    range() {
      const points = this.lines.flatMap((line) => this.isSmooth(line)
        ? [...line.points, ...line.smooth] : line.points);
      let x0 = Infinity, x1 = -Infinity, y0 = Infinity, y1 = -Infinity;
      for (const [x] of points) { x0 = Math.min(x0, x); x1 = Math.max(x1, x); }
      if (this.zoom) [x0, x1] = this.zoom;
      if (x0 === x1) { x0 -= this.panel.x ? x0 / 2 : 1; x1 += this.panel.x ? x1 : 1; }
      for (const [x, y] of points) {
        if (y === null || x < x0 || x > x1 || (this.log && y <= 0)) continue;
        y0 = Math.min(y0, y); y1 = Math.max(y1, y);
      }
      if (y0 > y1) [y0, y1] = [0, 1];
      if (y0 === y1) { const pad = Math.abs(y0) * .1 || 1; y0 -= this.log ? y0 * .1 : pad; y1 += pad; }
      if (this.log) return { x0, x1, y0: y0 / 1.05, y1: y1 * 1.05 };
      const pad = (y1 - y0) * .05;
      return { x0, x1, y0: y0 >= 0 && y0 - pad < 0 ? 0 : y0 - pad, y1: y1 + pad };
    }

    draw() {
      const box = this.canvas.getBoundingClientRect();
      if (!box.width || this.card.hidden) return;
      const ratio = window.devicePixelRatio || 1;
      const width = Math.round(box.width * ratio), height = Math.round(box.height * ratio);
      if (this.canvas.width !== width) this.canvas.width = width;
      if (this.canvas.height !== height) this.canvas.height = height;
      const pen = this.canvas.getContext("2d");
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      pen.clearRect(0, 0, box.width, box.height);
      const area = { left: 50, top: 10, right: box.width - 10, bottom: box.height - 24 };
      const r = this.range();
      const f = this.log ? Math.log10 : (v) => v;
      const g = this.along.f, from = g(r.x0), over = g(r.x1) - from;
      const X = (x) => area.left + (g(x) - from) / over * (area.right - area.left);
      const Y = (y) => area.bottom - (f(y) - f(r.y0)) / (f(r.y1) - f(r.y0)) * (area.bottom - area.top);
      this.frame = { X, Y, area, stepAt: (px) => this.along.back(from + Math.min(1, Math.max(0,
        (px - area.left) / (area.right - area.left))) * over) };
      this.axes(pen, r, X, Y, area);
      this.marked(pen, r, X, area);
      pen.save();
      pen.beginPath();
      pen.rect(area.left, area.top - 4, area.right - area.left + 4, area.bottom - area.top + 6);
      pen.clip();
      this.lines.forEach((line) => this.line(pen, line, X, Y));
      pen.restore();
      this.pointing(pen, X, Y, area);
    }

    axes(pen, r, X, Y, area) {
      pen.font = `11px ${css("--f-font")}`;
      pen.fillStyle = css("--f-dim"); pen.strokeStyle = css("--f-line"); pen.lineWidth = 1;
      pen.textBaseline = "middle"; pen.textAlign = "right";
      const rows = this.log ? logTicks(r.y0, r.y1) : ticks(r.y0, r.y1, this.panel.wide ? 5 : 3);
      for (const v of rows) {
        const y = Math.round(Y(v)) + .5;
        pen.beginPath(); pen.moveTo(area.left, y); pen.lineTo(area.right, y); pen.stroke();
        pen.fillText(label(v), area.left - 8, y);
      }
      pen.textBaseline = "top"; pen.textAlign = "center";
      if (this.panel.x) {
        for (const v of logTicks(r.x0, r.x1)) {
          pen.fillText(v >= .01 && v < 1e4 ? label(v) : v.toExponential(0), X(v), area.bottom + 8);
        }
        return;
      }
      for (const v of ticks(r.x0, r.x1, Math.max(2, (area.right - area.left) / 90))) {
        if (Number.isInteger(v) && v >= 0) pen.fillText(v.toLocaleString("en"), X(v), area.bottom + 8);
      }
    }

    /* A line at what was proposed. */
    marked(pen, r, X, area) {
      this.card.toggleAttribute("data-marked", !!this.mark);
      if (!this.mark || this.mark < r.x0 || this.mark > r.x1) return;
      const x = Math.round(X(this.mark)) + .5;
      pen.strokeStyle = css("--f-ok"); pen.lineWidth = 1.5; pen.setLineDash([5, 4]);
      pen.beginPath(); pen.moveTo(x, area.top); pen.lineTo(x, area.bottom); pen.stroke();
      pen.setLineDash([]);
      pen.fillStyle = css("--f-ok"); pen.textBaseline = "top";
      pen.textAlign = x > (area.left + area.right) / 2 ? "right" : "left";
      pen.fillText(`${this.words.proposal} ${label(this.mark)}`, x + (pen.textAlign === "right" ? -6 : 6), area.top);
    }

    line(pen, line, X, Y) {
      const colour = css(line.colour);
      pen.strokeStyle = colour; pen.lineJoin = "round";
      const smooth = this.isSmooth(line);
      if (smooth) {
        pen.globalAlpha = line.alone ? .28 : .12; pen.lineWidth = 1;
        this.path(pen, line.points, X, Y);
        pen.globalAlpha = 1;
      }
      pen.lineWidth = line.dots ? 1.5 : 2;
      this.path(pen, smooth ? line.smooth : line.points, X, Y);
      if (!line.dots && line.points.length > 1) return;
      pen.fillStyle = colour;
      for (const [x, y] of line.points) {
        if (y === null || (this.log && y <= 0)) continue;
        pen.beginPath(); pen.arc(X(x), Y(y), 3.2, 0, 7); pen.fill();
      }
    }

    isSmooth(line) {
      return this.panel.smooth && line.smooth && weight() > 0 && line.points.length > 8;
    }

    path(pen, points, X, Y) {
      pen.beginPath();
      let down = false;
      for (const [x, y] of points) {
        if (y === null || (this.log && y <= 0)) { down = false; continue; }
        if (down) pen.lineTo(X(x), Y(y)); else pen.moveTo(X(x), Y(y));
        down = true;
      }
      pen.stroke();
    }

    pointing(pen, X, Y, area) {
      this.tip.hidden = true;
      if (this.hover === null) return;
      if (this.from !== undefined) {
        pen.fillStyle = css("--f-accent"); pen.globalAlpha = .12;
        pen.fillRect(Math.min(this.from, this.hover), area.top, Math.abs(this.hover - this.from),
          area.bottom - area.top);
        pen.globalAlpha = 1;
        return;
      }
      const step = this.frame.stepAt(this.hover);
      const near = this.lines.map((line) => [line, nearest(line.points, step)])
        .filter(([, point]) => point);
      if (!near.length) return;
      const best = near.map(([, p]) => p).reduce((a, b) =>
        Math.abs(b[0] - step) < Math.abs(a[0] - step) ? b : a);
      const x = X(best[0]);
      pen.strokeStyle = css("--f-edge-strong"); pen.lineWidth = 1;
      pen.beginPath(); pen.moveTo(x, area.top); pen.lineTo(x, area.bottom); pen.stroke();
      this.tip.replaceChildren(this.at(best[0]));
      for (const [line, point] of near) {
        if (line.dots && point[0] !== best[0]) continue;
        const row = document.createElement("div"), key = document.createElement("i");
        key.className = "f-key"; key.style.background = `var(${line.colour})`;
        row.append(key, `${line.name} ${show(point[1])}`);
        this.tip.append(row);
        if (point[1] === null || (this.log && point[1] <= 0)) continue;
        pen.fillStyle = css(line.colour);
        pen.beginPath(); pen.arc(X(point[0]), Y(point[1]), 3.5, 0, 7); pen.fill();
      }
      this.tip.hidden = false;
      const left = x + 14 + this.tip.offsetWidth > area.right ? x - 14 - this.tip.offsetWidth : x + 14;
      this.tip.style.left = Math.max(0, left) + "px";
      this.tip.style.top = area.top + 4 + "px";
    }
  }

  function nearest(points, step) {
    if (!points.length) return null;
    let low = 0, high = points.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (points[middle][0] < step) low = middle + 1; else high = middle;
    }
    const before = points[Math.max(0, low - 1)];
    return Math.abs(before[0] - step) <= Math.abs(points[low][0] - step) ? before : points[low];
  }
  function weight() { return Number(keep.get("smooth", .9)); }

  /* One area of charts; polls while any of its runs can still change. */
  class Area {
    constructor(element) {
      this.element = element;
      this.runs = JSON.parse(element.dataset.runs);
      this.words = JSON.parse(element.dataset.words);
      this.none = document.createElement("div");
      this.none.className = "f-card f-wide f-quiet";
      this.none.setAttribute("role", "status");
      this.none.textContent = this.words.none;
      element.append(this.none);
      this.headings = {};
      this.charts = [];
      this.loop();
    }

    active() {
      const hero = document.querySelector(".f-hero[data-state]");
      if (hero && this.runs.length === 1) return ACTIVE.includes(hero.dataset.state);
      return this.runs.some((run) => run.active);
    }

    async loop() {
      while (this.element.isConnected) {
        const active = this.active();
        if (!document.hidden || !this.series) await this.read();
        /* One more look after the end catches the last points. */
        if (!active && this.ended) { await this.untilActive(); continue; }
        this.ended = !active;
        await new Promise((done) => setTimeout(done, this.runs.length > 1 ? 2500 : 1000));
      }
      all.delete(this);
    }

    async untilActive() {
      while (this.element.isConnected && !this.active()) {
        await new Promise((done) => setTimeout(done, 700));
      }
      this.ended = false;
    }

    /* The server smooths, since it has every step; what is drawn here is thinned. */
    async read() {
      const number = this.asked = (this.asked || 0) + 1;
      try {
        const found = await Promise.all(this.runs.map(async (run) => {
          const address = `./api/runs/${encodeURIComponent(run.id)}/metrics?max_points=1000&smooth=${weight()}`;
          const answer = await fetch(address, { cache: "no-store" });
          if (!answer.ok) throw new Error(answer.status);
          return answer.json();
        }));
        if (number !== this.asked) return;
        this.series = found;
        this.none.textContent = this.words.none;
        this.redraw();
      } catch {
        this.none.textContent = this.words.offline;
        this.none.hidden = !!this.series && this.charts.some((chart) => !chart.card.hidden);
      }
    }

    redraw() {
      if (!this.series) return;
      this.arrange();
      for (const chart of this.charts) {
        chart.set(this.runs.flatMap((run, i) => this.linesOf(chart, run, i)));
      }
      const shown = this.charts.filter((c) => !c.card.hidden);
      const small = shown.filter((c) => !c.panel.wide);
      this.element.style.setProperty("--f-columns", small.length === 4 ? 2 : Math.min(3, small.length || 1));
      this.none.hidden = shown.length > 0;
      /* Headings help where groups are large; a heading for each chart would only take room. */
      const groups = new Set(small.map((c) => c.panel.group)).size;
      const grouped = small.length >= 7 && small.length >= 2.5 * groups;
      for (const [group, heading] of Object.entries(this.headings)) {
        heading.hidden = !grouped || !small.some((c) => c.panel.group === group);
      }
    }

    /* A chart for each series with something to see; in the panels' order, under their headings. */
    arrange() {
      const sizes = {};
      this.series.forEach(({ series }) => Object.entries(series).forEach(([name, points]) => {
        const moves = window.finestraKnown.has(name) || points.some(([, v]) => v !== points[0][1]);
        sizes[name] = Math.max(sizes[name] || 0, moves ? points.length : 0);
      }));
      const panels = window.finestraPanels(sizes, this.words);
      const there = new Set(this.charts.map((chart) => chart.panel.key));
      const fresh = panels.filter((panel) => !there.has(panel.key));
      if (!fresh.length) return;
      this.headings ??= {};
      this.charts.push(...fresh.map((panel) => new Chart(panel, this.words, this.element)));
      const order = panels.map((panel) => panel.key);
      this.charts.sort((a, b) => order.indexOf(a.panel.key) - order.indexOf(b.panel.key));
      let group = "";
      for (const chart of this.charts) {
        if (chart.panel.group && chart.panel.group !== group) {
          group = chart.panel.group;
          this.headings[group] ??= Object.assign(document.createElement("h3"),
            { className: "f-chart-group", textContent: this.words["group." + group] || group });
          this.element.append(this.headings[group]);
        }
        this.element.append(chart.card);
      }
    }

    linesOf(chart, run, i) {
      const { series, smoothed } = this.series[i], panel = chart.panel;
      const alone = this.runs.length === 1, colour = COLOURS[i % COLOURS.length];
      if (panel.x) {
        const rates = new Map(series[panel.x] || []);
        if (alone) chart.mark = series[panel.mark]?.at(-1)?.[1];
        return [{ name: alone ? this.words.loss : run.name, colour, alone,
          points: (series[panel.key] || []).filter(([step]) => rates.has(step))
            .map(([step, value]) => [rates.get(step), value]) }];
      }
      const held = "eval_" + panel.key, measured = series[held]?.length;
      const only = panel.held && measured && !series[panel.key]?.length;
      const lines = only ? [] : [{ name: alone ? panel.name : run.name, colour, alone,
        points: series[panel.key] || [], smooth: smoothed[panel.key] }];
      for (const [key, name] of alone ? panel.beside : []) {
        if (series[key]?.length) lines.push({ name, alone, colour: "--f-s4", points: series[key],
          smooth: smoothed[key] });
      }
      if (measured) lines.push({ points: series[held], dots: true, alone,
        colour: alone && !only ? "--f-s2" : colour,
        name: alone ? this.words.eval_loss && panel.key === "loss" ? this.words.eval_loss
          : this.words.evaluation : `${run.name} · ${this.words.evaluation}` });
      return lines;
    }
  }

  const all = new Set();
  window.finestraCharts = function () {
    document.querySelectorAll(".f-charts[data-runs]").forEach((element) => {
      if (element.dataset.drawn) return;
      element.dataset.drawn = "yes";
      all.add(new Area(element));
    });
  };
  new MutationObserver(() => all.forEach((area) => area.charts.forEach((c) => c.draw())))
    .observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
})();
