// ---- a map at large, and two tasks held against each other

const CELL = 8, WIDE = 560;  // pixels of a cell at least, of a map of few heads
const explorer = make("dialog", { class: "explore", "aria-label": "A map at large" });
const taskList = first => make("select", {}, ...first, ...data.tasks.map((text, value) => make("option", { value }, text)));
const chooser = { task: taskList([]), other: taskList([make("option", { value: "" }, "no other task")]),
  block: make("select", {}, ...data.blocks.map((b, value) => make("option", { value }, b.title || "all heads"))) };
const stage = make("div", { class: "stage" });
let zoomed = null;
function spearman(block, a, b) {  // over heads of both tasks: Pearson's correlation of percentiles, ties sharing theirs
  const [p, q] = [ranked(block, a).percentile, ranked(block, b).percentile];
  const cells = [...p.keys()].filter(c => !Number.isNaN(p[c] + q[c])), mean = v => cells.reduce((s, c) => s + v[c], 0) / cells.length;
  const [mp, mq] = [mean(p), mean(q)], sum = f => cells.reduce((s, c) => s + f(c), 0);
  return sum(c => (p[c] - mp) * (q[c] - mq)) / Math.sqrt(sum(c => (p[c] - mp) ** 2) * sum(c => (q[c] - mq) ** 2));
}
const extent = (block, value) => {
  let most = 0;
  for (let cell = 0; cell < block.size; cell++) if (Math.abs(value(cell)) > most) most = Math.abs(value(cell));
  return most || 1;
};
function enlarge(task, block = 0) {
  Object.assign(chooser.task, { value: String(task) });
  Object.assign(chooser.block, { value: String(block) });
  redraw();
  if (!explorer.open) explorer.showModal();
}
function redraw() {
  if (zoomed) panels.splice(panels.indexOf(zoomed), 1);
  const block = data.blocks[+chooser.block.value], task = +chooser.task.value;
  const other = chooser.other.value === "" ? null : +chooser.other.value;
  const size = Math.max(CELL, Math.min(44, Math.floor(Math.min(innerWidth - 90, WIDE) / block.heads)));
  const width = block.heads * size, height = block.layers * size;
  const plot = make("div", { class: "plot" }), svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, plot);
  plot.style.width = `${width}px`;
  const image = draw("image", { class: "cells", width, height, preserveAspectRatio: "none", "image-rendering": "pixelated" }, svg);
  image.setAttributeNS("http://www.w3.org/1999/xlink", "xlink:href", "");  // the name that put() sets
  const figure = { shows: "own", bar: [], plot, svg, block, width, height, element: explorer, panels: [] };
  zoomed = panelOf(figure, { task, box: [0, 0, 1, 1] }, image, 0);
  const own = cell => at(block, task, cell), less = cell => own(cell) - at(block, other, cell);
  const value = other === null ? own : less, most = extent(block, value), diverging = other !== null || block.scale[0] < 0;
  const table = maps[diverging ? "RdBu_r" : view.map || block.map];
  put(figure, image, [0, 0, 1, 1], cellsOf(zoomed, value, diverging ? -most : 0, most, table));
  listen(zoomed);
  panels.push(zoomed);
  const title = other === null ? data.tasks[task] : `${data.tasks[task]} minus ${data.tasks[other]}`;
  const ends = diverging ? `blue −${number(most)}, white 0, red ${number(most)}` : `dark 0, bright ${number(most)}`;
  const told = `${data.unit}: ${ends}. Layers go ${up ? "up" : "down"}, heads to the right.`;
  const beside = make("div", { class: "beside" }, make("div", { class: "scroll", tabindex: "0", role: "region",
    "aria-label": title }, plot));
  stage.replaceChildren(make("h2", {}, title), make("p", {}, told), beside);
  if (other !== null) {
    zoomed.also = cell => `${data.tasks[other]}: ${score(block, other, cell)}; difference ${number(less(cell))}`;
    beside.append(scatter(block, task, other));
  }
}
function scatter(block, task, other) {
  const side = 300, room = 8, [mx, my] = [task, other].map(t => extent(block, cell => at(block, t, cell)));
  const signed = block.scale[0] < 0, along = (v, most) => room + (side - 2 * room) * (signed ? (v / most + 1) / 2 : v / most);
  const xy = cell => [along(at(block, task, cell), mx), side - along(at(block, other, cell), my)];
  const holder = make("figure", { class: "scatter" });
  const svg = draw("svg", { role: "img", viewBox: `0 0 ${side} ${side}`, width: side, height: side,
    "aria-label": `Every head’s score on ${data.tasks[task]}, to the right, and on ${data.tasks[other]}, upwards` }, holder);
  draw("path", { d: `M${room} ${room}V${side - room}H${side - room}`, class: "axes" }, svg);
  const cells = Array.from({ length: block.size }, (_, cell) => cell).filter(cell => !Number.isNaN(xy(cell)[0] + xy(cell)[1]));
  draw("path", { d: cells.map(cell => "M" + xy(cell).map(v => v.toFixed(1)).join(" ") + "h0").join(""), class: "points" }, svg);
  svg.addEventListener("pointermove", event => {
    const box = svg.getBoundingClientRect(), [x, y] = [event.clientX - box.left, event.clientY - box.top].map(v => v * side / box.width);
    const far = cell => (xy(cell)[0] - x) ** 2 + (xy(cell)[1] - y) ** 2;
    const near = cells.reduce((best, cell) => far(cell) < far(best) ? cell : best, cells[0]);
    if (near !== undefined) show(zoomed, near);
  });
  svg.addEventListener("pointerleave", drop);
  holder.append(make("figcaption", {}, `Each dot is a head: to the right ${data.tasks[task]} (to ${number(mx)}), upwards `
    + `${data.tasks[other]} (to ${number(my)}). Rank correlation ${number(spearman(block, task, other))}.`));
  return holder;
}
const labelled = (text, control) => make("label", {}, make("span", {}, text), control);
const closing = make("button", { type: "button", "aria-label": "Close" }, "×");
closing.onclick = () => explorer.close();
explorer.append(make("form", {}, closing, labelled("Task", chooser.task),
  ...(data.tasks.length > 1 ? [labelled("Less", chooser.other)] : []),
  ...(data.blocks.length > 1 ? [labelled("Heads", chooser.block)] : [])), stage);
explorer.addEventListener("change", redraw);
explorer.addEventListener("close", () => {
  drop();
  if (zoomed) panels.splice(panels.indexOf(zoomed), 1);
  zoomed = null;
  document.body.append(readout);
});
const compareButton = make("button", { type: "button" }, data.tasks.length > 1 ? "Compare tasks" : "Enlarge");
compareButton.onclick = () => { if (data.tasks.length > 1 && !chooser.other.value) chooser.other.value = "1"; enlarge(0); };
tools.prepend(compareButton);
for (const figure of figures.filter(f => !f.small && f.shows !== "count")) {
  const button = make("button", { type: "button", "aria-label": `Enlarge ${figure.id.replace("figure-", "")}` }, "Enlarge");
  button.onclick = () => { chooser.other.value = ""; enlarge(figure.panels[0].task ?? 0, data.blocks.indexOf(figure.block)); };
  figure.element.querySelector(".export").append(button);
}
document.body.append(explorer);
