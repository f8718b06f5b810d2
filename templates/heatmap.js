// What the page does beyond reading: it tells of single heads, links findings with cells, and changes the view.
// The figures stay those of the report; only their cells are drawn anew, from the numbers embedded in the page.
(async () => {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";
  const ABSENT = [237, 237, 237, 255], FADED = 38;
  const inline = document.getElementById("report-data");
  const data = inline ? JSON.parse(inline.textContent) : window.reportData;  // else of the file read before this one
  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const draw = (tag, attributes, parent) => {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return parent.appendChild(element);
  };

  // ---- numbers: byte planes, deflated, in base64

  const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
  async function unpack(text, size) {
    const stream = new Blob([bytes(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
    const planes = new Uint8Array(await new Response(stream).arrayBuffer());
    const n = planes.length / size, whole = new Uint8Array(planes.length);
    for (let b = 0; b < size; b++) for (let i = 0; i < n; i++) whole[i * size + b] = planes[b * n + i];
    return whole.buffer;
  }
  const half = h => {
    const power = (h >> 10) & 31, part = h & 1023;
    return power === 31 ? NaN : power ? 2 ** (power - 15) * (1 + part / 1024) : part * 2 ** -24;
  };
  for (const block of data.blocks) {
    block.values = new Float32Array(await unpack(block.values, 4));
    for (const side of ["below", "above"]) if (block[side]) block[side] = new Uint16Array(await unpack(block[side], 2));
    block.size = block.layers * block.heads;
    block.orders = new Map();
  }
  const maps = Object.fromEntries(Object.entries(data.maps).map(([name, text]) => [name, bytes(text)]));
  const number = v => {
    const size = Math.abs(v);
    if (!Number.isFinite(v)) return "—";
    if (size && (size < 1e-5 || size >= 1e7)) return v.toExponential(2).replace(/e\+?/, " × 10^").replace(/-/g, "−");
    const digits = size ? Math.max(0, 2 - Math.floor(Math.log10(+size.toPrecision(3)))) : 2;
    return v.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace("-", "−");
  };

  // ---- heads: values, ranks, names

  const at = (block, task, cell) => block.values[task * block.size + cell];
  const name = (block, cell) => {
    const head = `L${Math.floor(cell / block.heads)}H${cell % block.heads}`;
    return block.name ? `${block.name}.${head}` : head;
  };
  function ranked(block, task) {  // rank, and percentile with ties sharing the middle, of every head on a task
    if (block.orders.has(task)) return block.orders.get(task);
    const size = cell => Math.abs(at(block, task, cell));
    const order = Array.from({ length: block.size }, (_, i) => i).filter(cell => !Number.isNaN(size(cell)));
    order.sort((a, b) => size(b) - size(a) || a - b);
    const rank = new Uint32Array(block.size), percentile = new Float64Array(block.size).fill(NaN);
    for (let i = 0, j; i < order.length; i = j) {
      for (j = i; j < order.length && size(order[j]) === size(order[i]); j++) rank[order[j]] = j + 1;
      for (let k = i; k < j; k++) percentile[order[k]] = 100 * (1 - (i + j - 1) / 2 / order.length);
    }
    const made = { rank, percentile, n: order.length };
    block.orders.set(task, made);
    return made;
  }
  function interval(block, task, cell) {
    const i = task * block.size + cell;
    const below = block.below ? half(block.below[i]) : NaN, above = block.above ? half(block.above[i]) : NaN;
    if (Number.isNaN(below + above)) return null;
    return [block.values[i] - below * block.step, block.values[i] + above * block.step];
  }
  const holds = (finding, block, cell) => {
    const layer = Math.floor(cell / block.heads), head = cell % block.heads;
    return data.blocks[finding.block] === block && finding.cells.some(([l, a, b]) => l === layer && a <= head && head <= b);
  };
  const about = (block, cell, task) =>
    data.findings.filter(f => (task === null || f.tasks === null || f.tasks.includes(task)) && holds(f, block, cell));

  // ---- the figures and their panels

  const view = { map: "", low: null, high: null, threshold: 0, sorted: false, tasks: "" };
  const panels = [];
  const figures = data.figures.map(record => {
    const element = document.getElementById(record.id);
    const plot = element.querySelector(".plot"), svg = plot.querySelector("svg"), block = data.blocks[record.block];
    const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
    const figure = { ...record, element, svg, plot, block, width, height };
    const images = svg.querySelectorAll("image.cells");
    figure.panels = record.panels.map(({ task, box }, i) => {
      const [x, y, w, h] = [box[0] * width, box[1] * height, box[2] * width, box[3] * height];
      const overlay = make("div", {
        class: "panel", role: "application", "aria-roledescription": "heatmap", tabindex: i ? "-1" : "0",
        "aria-label": `${task === null ? "All tasks" : data.tasks[task]}${block.title ? `, ${block.title}` : ""}: arrow `
          + "keys go from head to head, page keys from map to map, Enter keeps a head, Escape lets it go",
      });
      ["left", "top", "width", "height"].forEach((side, k) => { overlay.style[side] = `${100 * box[k]}%`; });
      plot.append(overlay);
      const panel = { figure, block, task, x, y, w, h, image: images[i],
        place: box, overlay, marks: draw("g", { class: "found" }, svg), cursor: draw("g", { class: "found" }, svg) };
      panels.push(panel);
      return panel;
    });
    return figure;
  });
  const up = data.order === "up";
  function columns(panel, layer) {  // which head stands in each column of a row
    const { block, task } = panel, row = Array.from({ length: block.heads }, (_, i) => layer * block.heads + i);
    if (!view.sorted || task === null) return row;
    const size = cell => { const v = Math.abs(at(block, task, cell)); return Number.isNaN(v) ? -1 : v; };
    return row.sort((a, b) => size(b) - size(a) || a - b);
  }
  function place(panel, cell) {  // a cell's rectangle in the figure
    const { block, x, y, w, h } = panel, layer = Math.floor(cell / block.heads);
    const column = columns(panel, layer).indexOf(cell), row = up ? block.layers - 1 - layer : layer;
    const width = w / block.heads, height = h / block.layers;
    return { x: x + column * width, y: y + row * height, width, height };
  }
  function cellAt(panel, event) {
    const box = panel.overlay.getBoundingClientRect(), { block } = panel;
    const share = (value, n) => Math.min(n - 1, Math.max(0, Math.floor(value * n)));
    const column = share((event.clientX - box.left) / box.width, block.heads);
    const row = share((event.clientY - box.top) / box.height, block.layers);
    return columns(panel, up ? block.layers - 1 - row : row)[column];
  }
  function mark(panel, group, cells) {
    group.replaceChildren();
    const inside = new Set(cells), n = panel.block.heads;
    let path = "";
    for (const cell of cells) {  // the sides of a cell whose neighbour is not marked
      const { x, y, width, height } = place(panel, cell), down = up ? -n : n;
      const side = (other, beside, line) => { if (!beside || !inside.has(other)) path += line; };
      const free = view.sorted ? () => false : () => true;
      side(cell - 1, free() && cell % n > 0, `M${x} ${y}v${height}`);
      side(cell + 1, free() && cell % n < n - 1, `M${x + width} ${y}v${height}`);
      side(cell - down, free(), `M${x} ${y}h${width}`);
      side(cell + down, free(), `M${x} ${y + height}h${width}`);
    }
    for (const [stroke, width] of [["#101418", 2.6], ["#ff9f1c", 1.3]])
      draw("path", { d: path, fill: "none", stroke, "stroke-width": width, "stroke-linecap": "square" }, group);
  }

  // ---- colours

  const shown = task => task === null || data.tasks[task].toLowerCase().includes(view.tasks);
  const range = block => {
    const [low, high] = block.scale, top = view.high ?? high;
    return low < 0 ? [-Math.abs(top), Math.abs(top)] : [view.low ?? low, top];
  };
  const changed = () => view.map || view.low !== null || view.high !== null || view.threshold || view.sorted || view.tasks;
  function picture(width, height, fill) {
    const canvas = make("canvas", { width, height }), context = canvas.getContext("2d");
    const image = context.createImageData(width, height);
    fill(image.data);
    context.putImageData(image, 0, 0);
    return canvas;
  }
  // An image of a figure gives way to a picture, or comes back for null. Where images lie in files beside the page, its
  // host forbids those made here: the picture then stands as a canvas behind the figure, whose image is hidden.
  const originals = new Map(), canvases = new Map();
  function put(figure, image, box, canvas) {
    if (!originals.has(image)) originals.set(image, image.getAttribute("xlink:href"));
    if (!data.images) return image.setAttribute("xlink:href", canvas?.toDataURL("image/png") ?? originals.get(image));
    canvases.get(image)?.remove();
    canvases.delete(image);
    if (!canvas) return image.removeAttribute("visibility");
    image.setAttribute("visibility", "hidden");
    canvases.set(image, canvas);
    ["left", "top", "width", "height"].forEach((side, k) => { canvas.style[side] = `${100 * box[k]}%`; });
    figure.plot.prepend(canvas);
  }
  function paint(panel) {
    const { block, task, figure } = panel;
    if (task === null) return;  // a map of counts is not of one task's scores
    if (!changed()) return put(figure, panel.image, panel.place, null);
    const percent = figure.shows === "percentile" ? ranked(block, task).percentile : null;
    const [low, high] = percent ? [0, 100] : range(block);
    const table = maps[view.map || (percent ? block.sequential : block.map)];
    put(figure, panel.image, panel.place, picture(block.heads, block.layers, pixels => {
      for (let layer = 0; layer < block.layers; layer++) columns(panel, layer).forEach((cell, column) => {
        const value = percent ? percent[cell] : at(block, task, cell);
        const i = 4 * ((up ? block.layers - 1 - layer : layer) * block.heads + column);
        if (Number.isNaN(value)) return pixels.set(ABSENT, i);
        const share = high > low ? Math.min(1, Math.max(0, (value - low) / (high - low))) : 0;
        const k = 3 * Math.min(255, Math.floor(share * 256));
        pixels.set([table[k], table[k + 1], table[k + 2], kept(block, task, cell) ? 255 : FADED], i);
      });
    }));
  }
  const kept = (block, task, cell) => shown(task) && Math.abs(at(block, task, cell)) >= view.threshold;
  function paintBar(figure) {
    if (figure.shows === "count") return;
    const bar = figure.svg.querySelector("image.bar"), [bx, by, bw, bh] = figure.bar;
    const x = (bx + bw) * figure.width, y = by * figure.height, h = bh * figure.height;
    figure.ticks ??= draw("g", { class: "own-ticks", "font-size": 6, fill: "#24292f" }, figure.svg);
    const values = figure.shows === "value", ranged = view.low !== null || view.high !== null;
    const own = view.map || (values && ranged);
    const table = maps[view.map || (values ? figure.block.map : figure.block.sequential)];
    const ramp = pixels => {
      for (let i = 0; i < 128; i++) pixels.set([...table.slice(3 * (255 - 2 * i), 3 * (256 - 2 * i)), 255], 4 * i);
    };
    put(figure, bar, figure.bar, own ? picture(1, 128, ramp) : null);
    figure.plot.classList.toggle("own-bar", Boolean(own));
    figure.ticks.replaceChildren();
    const [low, high] = values ? range(figure.block) : [0, 100];
    if (own) for (const share of [0, 0.5, 1]) {
      const text = draw("text", { x: x + 3.6, y: y + h * (1 - share) + 2, fill: "#24292f" }, figure.ticks);
      text.textContent = number(low + share * (high - low));
    }
  }
  function told() {  // the view in words, for captions and exports
    const parts = [];
    if (view.map) parts.push(`colours: ${view.map}`);
    const ranges = data.blocks.map(block => range(block).map(number).join(" to "));
    if (view.low !== null || view.high !== null) parts.push(`scale of values from ${ranges.join("; ")}`);
    if (view.threshold) {
      let n = 0, all = 0;
      for (const block of data.blocks) for (const value of block.values) {
        all += !Number.isNaN(value);
        n += Math.abs(value) >= view.threshold;
      }
      parts.push(`${n.toLocaleString("en")} of ${all.toLocaleString("en")} scores of at least `
        + `${number(view.threshold)} in size, others faded`);
    }
    if (view.sorted) parts.push("in each layer the largest head first, outlines left out");
    if (view.tasks) parts.push(`tasks with “${view.tasks}” in their name`);
    return parts.length ? `View: ${parts.join("; ")}.` : "";
  }
  function refresh() {
    panels.forEach(paint);
    for (const figure of figures) {
      paintBar(figure);
      figure.plot.classList.toggle("sorted", view.sorted && figure.shows !== "count");
      figure.now.textContent = figure.shows === "count" ? "" : told();
    }
    data.anchors.forEach((anchor, task) => {
      const section = document.getElementById(anchor), entry = document.querySelector(`nav a[href="#${anchor}"]`);
      for (const element of [section, entry?.parentElement]) if (element) element.hidden = !shown(task);
    });
    status.textContent = told() || "The report’s own view.";
    drop();
  }

  // ---- telling: of a cell under the pointer, of a head on all tasks

  const readout = make("div", { class: "readout", role: "status" });
  const card = make("aside", { class: "card", "aria-label": "The chosen head" });
  readout.hidden = card.hidden = true;
  const linked = finding => make("li", {}, make("a", { href: `#${finding.anchor}` }, finding.text));
  const list = found => make("ul", {}, ...found.slice(0, 6).map(linked),
    ...(found.length > 6 ? [make("li", {}, `and ${found.length - 6} more`)] : []));
  function score(block, task, cell) {
    const bounds = interval(block, task, cell);
    return number(at(block, task, cell)) + (bounds ? ` (95 % interval ${number(bounds[0])} to ${number(bounds[1])})` : "");
  }
  let current = null;
  function show(panel, cell) {
    const { block, task } = panel;
    if (current) current.panel.cursor.replaceChildren();
    current = { panel, cell };
    mark(panel, panel.cursor, [cell]);
    readout.replaceChildren(make("b", {}, name(block, cell)));
    if (task === null) readout.append(" on all tasks: Enter or click shows them");
    else if (Number.isNaN(at(block, task, cell))) readout.append(` ${data.tasks[task]}: no head here`);
    else {
      const { rank, percentile, n } = ranked(block, task);
      readout.append(` ${data.tasks[task]}`, make("br"), `${data.unit}: ${score(block, task, cell)}`, make("br"),
        `rank ${rank[cell].toLocaleString("en")} of ${n.toLocaleString("en")}, percentile ${number(percentile[cell])}`);
    }
    const found = about(block, cell, task);
    if (found.length) readout.append(list(found));
    readout.hidden = false;
    // Beside the map, level with the cell, so that it hides no cell of it; on a narrow screen below or above.
    const box = panel.overlay.getBoundingClientRect(), { y } = place(panel, cell), { offsetWidth, offsetHeight } = readout;
    const right = box.right + 10, left = box.left - offsetWidth - 10, level = box.top + box.height * (y - panel.y) / panel.h;
    const beside = right + offsetWidth < innerWidth ? right : left > 0 ? left : null;
    const under = box.bottom + offsetHeight + 10 < innerHeight ? box.bottom + 10 : box.top - offsetHeight - 10;
    const inside = (value, size, room) => `${Math.max(8, Math.min(value, room - size - 8))}px`;
    readout.style.left = inside(beside ?? box.left, offsetWidth, innerWidth);
    readout.style.top = inside(beside === null ? under : level, offsetHeight, innerHeight);
  }
  function drop() {
    if (current) current.panel.cursor.replaceChildren();
    current = null;
    readout.hidden = true;
  }
  const cellsOf = finding => {
    const { heads } = data.blocks[finding.block];
    return finding.cells.flatMap(([layer, a, b]) => Array.from({ length: b - a + 1 }, (_, i) => layer * heads + a + i));
  };
  let from = null;  // the map that a head was chosen on by keyboard
  let chosen = null;  // what stays marked: a finding, or a head on every task
  function highlight(what = chosen) {
    const speaks = (f, task) => task === null || f.tasks === null || f.tasks.includes(task);
    for (const panel of panels) {
      let cells = [];
      if (what?.anchor && data.blocks[what.block] === panel.block && speaks(what, panel.task)) cells = cellsOf(what);
      if (what?.cell !== undefined && what.of === panel.block) cells = [what.cell];
      mark(panel, panel.marks, cells);
    }
    for (const element of document.querySelectorAll(".finding")) {
      const finding = what?.cell !== undefined && data.findings.find(f => f.anchor === element.id);
      element.classList.toggle("lit", Boolean(finding) && holds(finding, what.of, what.cell));
    }
  }
  function choose(block, cell, scroll) {
    chosen = { of: block, cell };
    highlight();
    const close = make("button", { type: "button", "aria-label": "Close" }, "×");
    close.onclick = release;
    const order = data.tasks.map((_, t) => t).sort((a, b) => ranked(block, a).rank[cell] - ranked(block, b).rank[cell]);
    const rows = order.map(t => make("tr", {}, make("th", { scope: "row" }, data.tasks[t]),
      make("td", {}, score(block, t, cell)),
      make("td", { class: "number" }, ranked(block, t).rank[cell].toLocaleString("en"))));
    const found = about(block, cell, null);
    const head = make("tr", {}, ...["Task", data.unit, "Rank"].map(text => make("th", { scope: "col" }, text)));
    card.replaceChildren(close, make("h2", {}, name(block, cell)), ...(found.length ? [list(found)] : []),
      make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
    card.hidden = false;
    if (scroll) figures.find(f => f.block === block)?.element.scrollIntoView();
  }
  function release() {
    if (card.contains(document.activeElement)) from?.overlay.focus();
    chosen = null;
    card.hidden = true;
    highlight();
    if (/^#(\w+\.)?L\d+H\d+$/.test(location.hash)) history.replaceState(null, "", location.pathname + location.search);
  }
  function follow() {  // #L6H24, #enc.L6H24 or a finding's anchor
    const target = decodeURIComponent(location.hash.slice(1)), match = /^(?:(\w+)\.)?L(\d+)H(\d+)$/.exec(target);
    const block = match && data.blocks.find(b => (b.name ?? undefined) === match[1]);
    const finding = data.findings.find(f => f.anchor === target);
    const [layer, head] = match ? [+match[2], +match[3]] : [];
    if (block && layer < block.layers && head < block.heads) choose(block, layer * block.heads + head, true);
    else if (finding) { card.hidden = true; chosen = finding; highlight(); }
  }
  function keep(panel, cell) {
    history.replaceState(null, "", `#${name(panel.block, cell)}`);
    choose(panel.block, cell, false);
  }
  const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [up ? 1 : -1, 0], ArrowDown: [up ? -1 : 1, 0] };
  function press(panel, event) {
    const { block } = panel, { key } = event, cell = current?.panel === panel ? current.cell : 0;
    const layer = Math.floor(cell / block.heads), row = columns(panel, layer);
    if (STEPS[key]) {
      const next = Math.min(block.layers - 1, Math.max(0, layer + STEPS[key][0]));
      const column = Math.min(block.heads - 1, Math.max(0, row.indexOf(cell) + STEPS[key][1]));
      show(panel, columns(panel, next)[column]);
    } else if (key === "PageDown" || key === "PageUp") {
      const all = panel.figure.panels, other = all[all.indexOf(panel) + (key === "PageDown" ? 1 : -1)];
      if (other) { panel.overlay.tabIndex = -1; other.overlay.tabIndex = 0; other.overlay.focus(); show(other, cell); }
    } else if (key === "Enter" || key === " ") {
      keep(panel, cell);
      from = panel;
      card.querySelector("button").focus();
    }
    else return;
    event.preventDefault();
  }
  for (const panel of panels) {
    panel.overlay.addEventListener("pointermove", event => show(panel, cellAt(panel, event)));
    panel.overlay.addEventListener("pointerleave", event => { if (!readout.contains(event.relatedTarget)) drop(); });
    panel.overlay.addEventListener("click", event => keep(panel, cellAt(panel, event)));
    panel.overlay.addEventListener("focus", () => {
      if (panel.overlay.matches(":focus-visible")) show(panel, current?.cell ?? 0);
    });
    panel.overlay.addEventListener("blur", drop);
    panel.overlay.addEventListener("keydown", event => press(panel, event));
  }
  readout.addEventListener("pointerleave", drop);
  addEventListener("keydown", event => { if (event.key === "Escape") { drop(); release(); } });
  addEventListener("hashchange", follow);
  for (const finding of data.findings) {
    const links = [...document.querySelectorAll(`a[href="#${finding.anchor}"]`)].map(a => a.closest("li") ?? a);
    for (const element of [document.getElementById(finding.anchor), ...links]) {
      for (const type of ["pointerenter", "focusin"]) element.addEventListener(type, () => highlight(finding));
      for (const type of ["pointerleave", "focusout"]) element.addEventListener(type, () => highlight());
    }
  }

  // ---- saving the current view

  function save(content, type, file) {
    const link = make("a", { href: URL.createObjectURL(new Blob([content], { type })), download: file });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }
  function svgOf(figure) {
    const copy = figure.svg.cloneNode(true);
    const hidden = { sorted: ".marks, .head-numbers", "own-bar": ".bar-ticks, .bar-tips" };
    for (const [state, parts] of Object.entries(hidden))
      if (figure.plot.classList.contains(state)) copy.querySelectorAll(parts).forEach(part => part.remove());
    copy.setAttribute("width", `${figure.width}pt`);
    copy.setAttribute("height", `${figure.height}pt`);
    draw("desc", {}, copy).textContent = told();
    const text = new XMLSerializer().serializeToString(copy);
    if (!data.images) return text;
    const images = [...figure.svg.querySelectorAll("image")];  // a saved figure holds its images itself
    return text.replace(/<image\b[^>]*>/g, tag => {
      const image = images.shift(), whole = data.images[image.getAttribute("xlink:href")];
      const now = canvases.get(image)?.toDataURL("image/png") ?? whole;
      return tag.replace(/xlink:href="[^"]*"/, () => `xlink:href="${now}"`).replace(/ visibility="\w+"/, "");
    });
  }
  function png(figure, file) {
    const image = new Image(), canvas = make("canvas", { width: 4 * figure.width, height: 4 * figure.height });
    image.onload = () => {
      const context = canvas.getContext("2d");
      context.fillStyle = "#ffffff";
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.drawImage(image, 0, 0, canvas.width, canvas.height);
      canvas.toBlob(blob => save(blob, "image/png", file));
    };
    image.src = `data:image/svg+xml,${encodeURIComponent(svgOf(figure))}`;
  }
  const quoted = text => `"${(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
  const shortest = value => [6, 7, 8, 9].map(n => +value.toPrecision(n)).find(v => Math.fround(v) === value) ?? value;
  function csv(figure) {  // every head in view, layer by layer; text is kept from being read as a formula
    const lines = ["task,block,layer,head,value,low,high,rank"], { block } = figure;
    const tasks = figure.panels[0].task === null ? data.tasks.map((_, t) => t) : figure.panels.map(p => p.task);
    for (const task of tasks) for (let cell = 0; cell < block.size; cell++) {
      if (Number.isNaN(at(block, task, cell)) || !kept(block, task, cell)) continue;
      const bounds = interval(block, task, cell)?.map(v => v.toPrecision(4)) ?? ["", ""];
      lines.push([quoted(data.tasks[task]), block.name ?? "", Math.floor(cell / block.heads), cell % block.heads,
        shortest(at(block, task, cell)), ...bounds, ranked(block, task).rank[cell]].join());
    }
    return `${lines.join("\n")}\n`;
  }
  for (const figure of figures) {
    const stem = figure.id.replace("figure-", ""), bar = make("p", { class: "export" }, "Save this view: ");
    const ways = { SVG: () => save(svgOf(figure), "image/svg+xml", `${stem}.svg`), PNG: () => png(figure, `${stem}.png`),
      CSV: () => save(csv(figure), "text/csv", `${stem}.csv`) };
    if (data.images) delete ways.PNG;  // drawn by way of an image made here, which the host forbids
    for (const [way, act] of Object.entries(ways)) {
      const button = make("button", { type: "button", "aria-label": `Save ${stem} as ${way}` }, way);
      button.onclick = act;
      bar.append(button, " ");
    }
    figure.now = make("span", { class: "now" });
    figure.element.querySelector("figcaption").append(" ", figure.now);
    figure.element.append(bar);
  }

  // ---- the controls

  const status = make("p", { role: "status" });
  const field = (label, control) => make("label", {}, make("span", {}, label), control);
  const option = ([value, text]) => make("option", { value }, text);
  const signed = data.blocks.some(b => b.scale[0] < 0), own = data.blocks[0].scale;
  const colours = [["", "as in the report"], ["viridis", "viridis"], ["cividis", "cividis"], ["gray", "grey"]];
  const control = {
    map: make("select", {}, ...colours.map(option)),
    low: make("input", { type: "number", step: "any", placeholder: number(own[0]) }),
    high: make("input", { type: "number", step: "any", placeholder: number(own[1]) }),
    threshold: make("input", { type: "number", step: "any", min: "0", placeholder: "0" }),
    sorted: make("select", {}, option(["", "by their numbers"]), option(["yes", "largest first in each layer"])),
    tasks: make("input", { type: "search", placeholder: "all" }),
  };
  const reset = make("button", { type: "reset" }, "Reset");
  const form = make("form", {}, field("Colours", control.map), ...(signed ? [] : [field("From", control.low)]),
    field(signed ? "To ±" : "To", control.high), field("Fade below", control.threshold), field("Heads", control.sorted),
    field("Tasks named", control.tasks), reset, status);
  const numeric = input => input.value === "" || !Number.isFinite(+input.value) ? null : +input.value;
  function read() {
    Object.assign(view, { map: control.map.value, low: numeric(control.low), high: numeric(control.high),
      threshold: numeric(control.threshold) ?? 0, sorted: control.sorted.value !== "",
      tasks: control.tasks.value.trim().toLowerCase() });
    refresh();
    highlight();
  }
  form.addEventListener("input", read);
  form.addEventListener("reset", () => setTimeout(read));
  form.addEventListener("submit", event => event.preventDefault());
  const details = make("details", {}, make("summary", {}, "Change the view"), form);
  document.body.append(make("section", { class: "view", "aria-label": "View of the maps" }, details), readout, card);
  status.textContent = "The report’s own view.";
  follow();
  document.documentElement.dataset.ready = "yes";
})();
