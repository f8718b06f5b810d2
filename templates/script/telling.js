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
