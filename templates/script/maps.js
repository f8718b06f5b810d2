// ---- the figures and their panels

const view = { map: "", low: null, high: null, threshold: 0, sorted: false, tasks: "" };
const panels = [];
const figures = data.figures.map(record => {
  const element = document.getElementById(record.id);
  const plot = element.querySelector(".plot"), svg = plot.querySelector("svg"), block = data.blocks[record.block];
  const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
  const figure = { ...record, element, svg, plot, block, width, height };
  const images = svg.querySelectorAll("image.cells");
  figure.panels = record.panels.map(({ task, box, scale }, i) => {
    const [x, y, w, h] = [box[0] * width, box[1] * height, box[2] * width, box[3] * height];
    const overlay = make("div", {
      class: "panel", role: "application", "aria-roledescription": "heatmap", tabindex: i ? "-1" : "0",
      "aria-label": `${task === null ? "All tasks" : data.tasks[task]}${block.title ? `, ${block.title}` : ""}: arrow `
        + "keys go from head to head, page keys from map to map, Enter keeps a head, Escape lets it go",
    });
    ["left", "top", "width", "height"].forEach((side, k) => { overlay.style[side] = `${100 * box[k]}%`; });
    plot.append(overlay);
    const signs = draw("g", { class: "own-signs" }, svg);
    images[i].after(signs);
    const panel = { figure, block, task, scale, x, y, w, h, image: images[i],
      place: box, overlay, signs, marks: draw("g", { class: "found" }, svg), cursor: draw("g", { class: "found" }, svg) };
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
const ranged = () => view.low !== null || view.high !== null;
const rangeOf = panel => panel.scale && !ranged() ? panel.scale : range(panel.block);
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
function dash(group, strokes) {  // [middle x, y, half its length, whether in white] of each
  group.replaceChildren();
  for (const [stroke, light] of [[data.sign.dark, false], [data.sign.white, true]]) {
    const d = strokes.filter(s => s[3] === light).map(([x, y, half]) => `M${x - half} ${y}h${2 * half}`).join("");
    if (d) draw("path", { d, fill: "none", stroke, "stroke-width": data.sign.line }, group);
  }
}
const pale = share => Boolean(view.map) || share >= data.sign.pale;  // other maps are dark where values are negative
function paintSigns(panel) {  // as the figure has them: on clearly negative cells, or blocks of cells too small for one
  const { block, task, figure, x, y, w, h } = panel, end = rangeOf(panel)[1], strokes = [];
  const wide = w / block.heads, high = h / block.layers, cells = size => Math.ceil(data.sign.room / size - 1e-9);
  const across = cells(wide), down = cells(high), half = Math.min(0.28 * across * wide, data.sign.longest / 2);
  const drawn = block.scale[0] < 0 && figure.shows !== "percentile" && changed();
  for (let top = 0; drawn && top < block.layers; top += down) {
    const bottom = Math.min(top + down, block.layers), middle = high * (top + bottom) / 2;
    const rows = Array.from({ length: bottom - top }, (_, i) => columns(panel, top + i));
    for (let left = 0; left < block.heads; left += across) {
      const right = Math.min(left + across, block.heads);
      let most = 0;
      for (const cell of rows.flatMap(row => row.slice(left, right)))
        if (kept(block, task, cell) && Math.abs(at(block, task, cell)) > Math.abs(most)) most = at(block, task, cell);
      if (most < 0 && most <= -data.sign.from * end)
        strokes.push([x + wide * (left + right) / 2, up ? y + h - middle : y + middle, half, pale(-most / end)]);
    }
  }
  dash(panel.signs, strokes);
}
function paint(panel) {
  const { block, task, figure } = panel;
  if (task === null) return;  // a map of counts is not of one task's scores
  paintSigns(panel);
  if (!changed()) return put(figure, panel.image, panel.place, null);
  const percent = figure.shows === "percentile" ? ranked(block, task).percentile : null;
  const [low, high] = percent ? [0, 100] : rangeOf(panel);
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
  const values = figure.shows !== "percentile", signed = figure.block.scale[0] < 0;
  const own = view.map || (values && ranged());
  const table = maps[view.map || (values ? figure.block.map : figure.block.sequential)];
  const ramp = pixels => {
    for (let i = 0; i < 128; i++) pixels.set([...table.slice(3 * (255 - 2 * i), 3 * (256 - 2 * i)), 255], 4 * i);
  };
  put(figure, bar, figure.bar, own ? picture(1, 128, ramp) : null);
  figure.signs ??= draw("g", { class: "own-signs" }, figure.svg);
  const strokes = [];
  const dashes = changed() && values && signed ? h * (1 - data.sign.from) / 2 / data.sign.longest : 0;
  for (let i = 0; i < Math.floor(dashes); i++) {
    const down = h - (i + 0.5) * data.sign.longest;
    strokes.push([x - bw * figure.width / 2, y + down, data.sign.longest / 2, pale(2 * down / h - 1)]);
  }
  dash(figure.signs, strokes);
  figure.plot.classList.toggle("own-bar", Boolean(own));
  figure.ticks.replaceChildren();
  const shared = figure.shows === "value" || ranged(), one = figure.panels.length === 1;
  const ends = shared ? range(figure.block) : one ? figure.panels[0].scale : [signed ? -100 : 0, 100];
  const [low, high] = values ? ends : [0, 100];
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
  const ends = data.blocks.filter(b => b.scale[0] < 0).map(b => number(-data.sign.from * range(b)[1]));
  if (view.high !== null && ends.length) parts.push(`dashes from ${ends.join("; ")} down`);
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
    figure.plot.classList.toggle("own-view", Boolean(changed()));
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
