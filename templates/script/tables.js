// ---- tables: sorted by a column, searched; the first heads of another task

const LONG_TABLE = 6;  // rows from which on searching is of use
const SUPER = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻";
function key(text) {  // what a cell is sorted by: a head's place, a number, else its words
  const head = /^(?:(\w+)\.)?L(\d+)H(\d+)/.exec(text);
  if (head) return +head[2] * 1e4 + +head[3];
  const plain = text.replace(/[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]/g, c => "0123456789-"[SUPER.indexOf(c)]).replaceAll("−", "-")
    .replace(/(\d),(?=\d{3})/g, "$1").replace(/ × 10(-?\d+)/, "e$1");
  const value = /^[<>≤≥=~ ]*\(?(-?[\d.]+(?:e-?\d+)?)/.exec(plain);
  return value ? parseFloat(value[1]) : text;
}
const words_order = new Intl.Collator("en", { numeric: true });
function order(a, b) {  // numbers before words, what is missing last
  const missing = value => value === "" || value === "—";
  if (missing(a) || missing(b)) return missing(a) - missing(b);
  if (typeof a === "number" && typeof b === "number") return a - b;
  return typeof a === typeof b ? words_order.compare(a, b) : typeof a === "number" ? -1 : 1;
}
function sortable(table) {
  const titles = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  titles.forEach((title, column) => {
    const button = make("button", { type: "button", class: "sort" }, ...title.childNodes);
    title.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = title.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      titles.forEach(each => each.removeAttribute("aria-sort"));
      title.setAttribute("aria-sort", down > 0 ? "ascending" : "descending");
      const keyed = [...body.rows].map(row => [key(row.cells[column]?.textContent.trim() ?? ""), row]);
      const missing = value => value === "" || value === "—";
      keyed.sort(([a], [b]) => order(a, b) * (missing(a) || missing(b) ? 1 : down));
      body.append(...keyed.map(([, row]) => row));
    });
  });
  const rows = [...body.rows];
  if (rows.length < LONG_TABLE || table.matches(".dumbbells")) return;
  const caption = table.caption?.textContent.trim() ?? "";
  const field = make("input", { type: "search", class: "search-table", placeholder: "Search this table",
    "aria-label": `Search: ${caption}` });
  field.addEventListener("input", () => {
    const wanted = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) row.hidden = !wanted.every(word => row.textContent.toLowerCase().includes(word));
  });
  (table.closest(".scroll") ?? table).before(field);
}
for (const table of document.querySelectorAll("main table")) if (table.tHead && table.tBodies[0]?.rows.length > 1) sortable(table);

const which = document.querySelector(".which"), chosenTask = which?.querySelector(".chosen");
if (chosenTask && document.querySelector(".first-heads") && data.tasks.length > 1) {
  const select = make("select", { "aria-label": "Task" }, ...data.tasks.map((text, value) => make("option", { value }, text)));
  select.value = String(data.tasks.indexOf(chosenTask.textContent));
  chosenTask.replaceWith(select);
  select.addEventListener("change", () => {
    const section = document.getElementById(data.anchors[select.value]), label = which.querySelector(".label");
    const said = section.querySelector(".knocked"), title = label.querySelector("b");
    label.replaceChildren(title, " ", ...(said ? [...said.cloneNode(true).childNodes] : []));
    const tables = [...section.querySelectorAll(".first-heads")].flatMap(part => [...part.cloneNode(true).childNodes]);
    which.replaceChildren(label, ...tables);
    for (const part of which.querySelectorAll(".scroll")) part.setAttribute("aria-label", `At a glance: ${part.ariaLabel}`);
    for (const button of which.querySelectorAll("button.sort")) button.replaceWith(...button.childNodes);
    for (const table of which.querySelectorAll("table")) sortable(table);
  });
}
