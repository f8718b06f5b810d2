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
function show(panel, cell, touched = false) {
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
    if (panel.also) readout.append(make("br"), panel.also(cell));
  }
  const found = about(block, cell, task);
  if (found.length) readout.append(list(found));
  if (touched) readout.append(make("br"), make("a", { href: `#${name(block, cell)}` }, `All about ${name(block, cell)}`));
  readout.hidden = false;
  const holder = panel.figure.element.matches("dialog") ? panel.figure.element : document.body;
  if (readout.parentElement !== holder) holder.append(readout);  // a dialog covers what is not within it
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
const cellsIn = finding => {
  const { heads } = data.blocks[finding.block];
  return finding.cells.flatMap(([layer, a, b]) => Array.from({ length: b - a + 1 }, (_, i) => layer * heads + a + i));
};
let from = null;  // what a head was chosen from by keyboard
let chosen = null;  // what stays marked: a finding, or a head on every task
function highlight(what = chosen) {
  const speaks = (f, task) => task === null || f.tasks === null || f.tasks.includes(task);
  for (const panel of panels) {
    let cells = [];
    if (what?.anchor && data.blocks[what.block] === panel.block && speaks(what, panel.task)) cells = cellsIn(what);
    if (what?.cell !== undefined && what.of === panel.block) cells = [what.cell];
    mark(panel, panel.marks, cells);
  }
  for (const element of document.querySelectorAll(".finding")) {
    const finding = what?.cell !== undefined && data.findings.find(f => f.anchor === element.id);
    element.classList.toggle("lit", Boolean(finding) && holds(finding, what.of, what.cell));
  }
}

// ---- the card of a head

const HEAD = /^(?:(\w+)\.)?L(\d+)H(\d+)$/i;
// Rows that stand for a head in the tables, for readers without this script, would pull the page away from its card.
for (const row of document.querySelectorAll("tr[id]")) if (HEAD.test(row.id)) row.removeAttribute("id");
function headNamed(text) {  // the block and the cell of a head that is there, else null
  const match = HEAD.exec(text);
  const block = match && data.blocks.find(b => (b.name ?? "").toLowerCase() === (match[1] ?? "").toLowerCase());
  const [layer, head] = match ? [+match[2], +match[3]] : [];
  if (!block || layer >= block.layers || head >= block.heads) return null;
  const cell = layer * block.heads + head;
  return data.tasks.every((_, t) => Number.isNaN(at(block, t, cell))) ? null : { block, cell };
}
const heading = text => make("h3", {}, text);
function tableOf(titles, rows) {
  const head = make("tr", {}, ...titles.map(text => make("th", { scope: "col" }, text)));
  const body = rows.map(cells => make("tr", {}, ...cells.map((cell, i) =>
    make(i ? "td" : "th", i ? {} : { scope: "row" }, ...[cell].flat()))));
  return make("table", {}, make("thead", {}, head), make("tbody", {}, ...body));
}
function bar(block, task, cell) {  // as long as the head is large beside the task's largest
  const svg = draw("svg", { class: "share", width: 62, height: 10, "aria-hidden": "true" }, document.createElement("div"));
  const share = Math.abs(at(block, task, cell)) / (ranked(block, task).largest || 1);
  draw("rect", { x: 0, y: 1, width: 62, height: 8, class: "whole" }, svg);
  draw("rect", { x: 0, y: 1, width: 62 * share, height: 8, class: at(block, task, cell) < 0 ? "part below" : "part" }, svg);
  return svg;
}
function onTasks(block, cell) {  // importance and rank of a head on every task, the task that it leads most first
  const head = name(block, cell), knows = key => data.heads.some(h => h[key][head]);
  const lost = data.alone?.names.indexOf(head) ?? -1, rank = t => ranked(block, t).rank[cell];
  const order = data.tasks.map((_, t) => t).filter(t => rank(t)).sort((a, b) => rank(a) - rank(b));
  const cost = t => data.alone.loss[t * data.alone.names.length + lost];
  const columns = [
    ["Task", t => data.tasks[t]],
    ["Of the largest", t => bar(block, t, cell)],
    [data.unit, t => score(block, t, cell).replace(" (95 % interval ", " [").replace(" to ", ", ").replace(/\)$/, "]")],
    ["Rank", t => rank(t).toLocaleString("en")],
    ...(knows("ranks") ? [["Possible", t => data.heads[t].ranks[head] ?? "—"]] : []),
    ...(knows("signs") ? [["Sign", t => data.heads[t].signs[head] ?? "—"]] : []),
    ...(lost >= 0 ? [["Out alone (nats)", t => Number.isNaN(cost(t)) ? "—"
      : two(cost(t)) + (cost(t) > (data.alone.margins[t] ?? Infinity) ? " ▲" : "")]] : []),
  ];
  return tableOf(columns.map(([title]) => title), order.map(t => columns.map(([, text]) => text(t))));
}
const two = v => v.toLocaleString("en", { maximumSignificantDigits: 2 }).replace("-", "−");
function summary(block, cell) {
  const ranks = data.tasks.map((_, t) => ranked(block, t).rank[cell]), best = Math.min(...ranks.filter(Boolean));
  const task = ranks.indexOf(best), first = ranks.filter(r => r && r <= 10).length;
  return `Rank ${best.toLocaleString("en")} of ${ranked(block, task).n.toLocaleString("en")} on ${data.tasks[task]}`
    + (data.tasks.length > 1 ? `; among the first ten on ${first} of ${data.tasks.length} tasks.` : ".");
}
function alone(head) {  // how the column of losses is read
  if (!data.alone?.names.includes(head)) return [];
  return [make("p", { class: "note" }, `Out alone: loss of the ${data.alone.of}’s log-probability with the head’s mean in its place; `
    + "▲ above the task’s margin.")];
}
function words(head) {  // what findings say of this head in particular
  const said = data.heads.flatMap((h, t) => Object.entries(h.said).filter(([, heads]) => heads[head])
    .map(([title, heads]) => `${title}: ${heads[head]} (${data.tasks[t]})`));
  return [...new Set(said)].map(text => make("p", {}, text));
}
function setsWith(head) {
  const tried = data.sets.filter(s => s.heads.includes(head) || s.core.includes(head));
  if (!tried.length) return data.sets.length ? [make("p", {}, "It was in no set of heads that was knocked out.")] : [];
  const told = ({ text, core, verdict, anchor }) => make("li", {}, anchor ? make("a", { href: `#${anchor}` }, text) : text,
    `: ${verdict}${core.includes(head) ? `; knocked out: ${core.join(", ")}` : "; not in the core that was judged"}`);
  return [heading("Knocked out in sets"), make("ul", {}, ...tried.map(told))];
}
function looks(head) {  // its rows of the tables of attention, all tasks together
  const rows = [...document.querySelectorAll(".tokens tbody tr")].filter(row => row.cells[0].textContent === head);
  if (!rows.length) return [];
  const task = row => row.closest("section").querySelector("h3").firstChild.textContent.trim();
  const made = rows.map(row => [task(row), ...[...row.cells].slice(1).map(cell => [...cell.cloneNode(true).childNodes])]);
  const table = tableOf(["Task", "Example", data.unit, "Where it looks"], made);
  table.className = "tokens";
  return [heading("Where it looks"), table];
}
function fill(title, ...content) {
  const close = make("button", { type: "button", "aria-label": "Close" }, "×");
  close.onclick = release;
  card.replaceChildren(close, make("h2", {}, title), ...content);
  card.hidden = false;
}
function choose(block, cell, scroll) {
  chosen = { of: block, cell };
  highlight();
  const head = name(block, cell), found = about(block, cell, null), copy = make("button", { type: "button" }, "Copy link");
  copy.onclick = () => copied(`#${head}`);
  fill(head, make("p", {}, summary(block, cell)), onTasks(block, cell), ...alone(head), ...words(head), ...setsWith(head), ...looks(head),
    ...(found.length ? [heading("Findings"), list(found)] : []), make("p", {}, copy));
  if (scroll) figures.find(f => f.block === block)?.element.scrollIntoView({ block: "center", behavior: "instant" });
}
function unknown(target) {
  const ends = data.blocks.map(b => `${name(b, 0)} to ${name(b, b.size - 1)}`).join(", ");
  const hint = HEAD.test(target) ? `Heads go from ${ends}.` : "It may be of another report, or of a section left out here.";
  fill("Not here", make("p", {}, `Nothing on this page is called “${target}”. ${hint}`));
}
function release() {
  if (card.contains(document.activeElement)) from?.focus();
  chosen = null;
  card.hidden = true;
  highlight();
  if (HEAD.test(location.hash.slice(1))) history.replaceState(null, "", location.pathname + location.search);
}
function follow() {  // #L6H24, #enc.L6H24 or a finding's anchor
  let target = location.hash.slice(1);
  try { target = decodeURIComponent(target); } catch { /* a stray per cent sign is part of the name */ }
  const head = headNamed(target), finding = data.findings.find(f => f.anchor === target);
  if (head) return choose(head.block, head.cell, true);
  if (finding) { card.hidden = true; chosen = finding; highlight(); }
  const element = document.getElementById(target);
  if (element) reveal(element);
  else if (target) unknown(target);
}
function reveal(element) {  // what is folded or filtered away is shown before one goes there
  let folded = false;
  for (let each = element; each; each = each.parentElement) {
    folded ||= each.tagName === "DETAILS" && !each.open;
    if (each.tagName === "DETAILS") each.open = true;
  }
  if (folded) element.scrollIntoView();
}
function keep(block, cell) {
  history.replaceState(null, "", `#${name(block, cell)}`);
  choose(block, cell, false);
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
    const all = panel.figure.small ? panels.filter(p => p.figure.small) : panel.figure.panels;
    const other = all[all.indexOf(panel) + (key === "PageDown" ? 1 : -1)];
    if (other) { panel.overlay.tabIndex = -1; other.overlay.tabIndex = 0; other.overlay.focus(); show(other, cell); }
  } else if (key === "Enter" || key === " ") {
    keep(block, cell);
    from = panel.overlay;
    card.querySelector("button").focus();
  }
  else return;
  event.preventDefault();
}
function listen(panel) {
  // A finger tells of the head that it touches, with a link to the card; a mouse tells by hovering and opens it.
  const touches = event => event.pointerType === "touch";
  panel.overlay.addEventListener("pointermove", event => { if (!touches(event)) show(panel, cellAt(panel, event)); });
  panel.overlay.addEventListener("pointerleave", event => {
    if (!touches(event) && !readout.contains(event.relatedTarget)) drop();
  });
  panel.overlay.addEventListener("click", event => {
    const cell = cellAt(panel, event);
    if (touches(event)) show(panel, cell, true);
    else keep(panel.block, cell);
  });
  panel.overlay.addEventListener("focus", () => {
    if (panel.overlay.matches(":focus-visible")) show(panel, current?.cell ?? 0);
  });
  panel.overlay.addEventListener("blur", event => { if (!readout.contains(event.relatedTarget)) drop(); });
  panel.overlay.addEventListener("keydown", event => press(panel, event));
}
panels.forEach(listen);
readout.addEventListener("pointerleave", event => { if (event.pointerType !== "touch") drop(); });
addEventListener("keydown", event => { if (event.key === "Escape") { drop(); release(); } });
addEventListener("pointerdown", event => {
  if (current && !readout.contains(event.target) && !event.target.closest?.(".panel")) drop();
});
addEventListener("hashchange", follow);
for (const finding of data.findings) {
  const links = [...document.querySelectorAll(`a[href="#${finding.anchor}"]`)].map(a => a.closest("li") ?? a);
  for (const element of [document.getElementById(finding.anchor), ...links].filter(Boolean)) {
    for (const type of ["pointerenter", "focusin"]) element.addEventListener(type, () => highlight(finding));
    for (const type of ["pointerleave", "focusout"]) element.addEventListener(type, () => highlight());
  }
}
