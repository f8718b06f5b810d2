// ---- finding one's way: the section one is in, heads by name, links to copy, light and dark

const topbar = document.querySelector(".topbar") ?? document.body.insertBefore(make("div", { class: "topbar", role: "region", "aria-label": "Tools" }),
  document.body.firstChild);
const tools = make("div", { class: "tools" }), note = make("p", { class: "copied", role: "status" });
async function copied(hash) {  // file: pages of some browsers have no clipboard: the address bar holds the link then
  history.replaceState(null, "", hash);
  try { await navigator.clipboard.writeText(location.href); note.textContent = "Link copied"; }
  catch { note.textContent = "The link is in the address bar"; }
  setTimeout(() => { note.textContent = ""; }, 2500);
}
for (const link of document.querySelectorAll(".permalink"))
  link.addEventListener("click", () => copied(link.getAttribute("href")));

const everyHead = data.blocks.flatMap(block => Array.from({ length: block.size }, (_, cell) => name(block, cell)));
const heads = make("datalist", { id: "heads-by-name" });
const find = make("input", { type: "search", class: "find", list: heads.id, placeholder: "Find head, as L0H1", size: 16,
  "aria-label": "Find head", autocomplete: "off", spellcheck: "false" });
find.addEventListener("input", () => {
  const text = find.value.trim().toLowerCase();
  const near = text ? everyHead.filter(head => head.toLowerCase().includes(text)).slice(0, 12) : [];
  heads.replaceChildren(...near.map(value => make("option", { value })));
});
find.addEventListener("change", () => {
  const text = find.value.trim(), head = headNamed(text);
  from = find;
  if (head) keep(head.block, head.cell);
  else if (text) unknown(text);
});

// Every name of a head leads to its card.
const NAMES = /\b(?:\w+\.)?L\d+H\d+\b/g;
function linkHeads(root) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT, node =>
    node.data.includes("H") && !node.parentElement.closest("a, svg, button, summary, select, pre, code, .panel, .card")
      ? NodeFilter.FILTER_ACCEPT : NodeFilter.FILTER_REJECT);
  const found = [];
  while (walker.nextNode()) if (walker.currentNode.data.search(NAMES) >= 0) found.push(walker.currentNode);
  for (const node of found) {
    const parts = [];
    let end = 0;
    for (const match of node.data.matchAll(NAMES)) {
      if (!headNamed(match[0])) continue;
      parts.push(node.data.slice(end, match.index), make("a", { class: "head", href: `#${match[0]}` }, match[0]));
      end = match.index + match[0].length;
    }
    if (parts.length) node.replaceWith(...parts, node.data.slice(end));
  }
}
linkHeads(document.getElementById("content"));
addEventListener("click", event => {  // the card opens where one reads: nothing scrolls
  const link = event.target.closest?.('a[href^="#"]'), head = link && headNamed(link.getAttribute("href").slice(1));
  if (!head) return;
  event.preventDefault();
  from = link;
  keep(head.block, head.cell);
});

const sections = [...document.querySelectorAll("main > section, section.task")].filter(section => section.id);
const here = document.querySelector(".here"), seen = new Set();
const watch = new IntersectionObserver(entries => {
  for (const { target, isIntersecting } of entries) seen[isIntersecting ? "add" : "delete"](target);
  const inside = sections.filter(section => seen.has(section));
  if (!inside.length) return;
  if (here) here.textContent = inside.map(s => s.querySelector("h2, h3").firstChild.textContent.trim()).join(" › ");
  for (const link of document.querySelectorAll(".contents a")) {
    if (link.getAttribute("href") === `#${inside.at(-1).id}`) link.setAttribute("aria-current", "location");
    else link.removeAttribute("aria-current");
  }
}, { rootMargin: "-20% 0px -79% 0px" });
sections.forEach(section => watch.observe(section));
const contents = document.querySelector(".contents");
contents?.addEventListener("click", event => { if (event.target.closest("a")) contents.open = false; });
addEventListener("pointerdown", event => {  // on a phone the tools stand below the contents, and are open with them
  if (contents?.open && !topbar.contains(event.target)) contents.open = false;
});
addEventListener("keydown", event => { if (contents && event.key === "Escape") contents.open = false; });

const root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (root.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
const theme = make("button", { type: "button", class: "theme", "aria-label": "Dark mode" }, "◐");
function setTheme(wanted) {
  root.dataset.theme = wanted;
  theme.setAttribute("aria-pressed", String(isDark()));
}
let kept_theme = null;  // storage is closed to pages of some hosts
try { kept_theme = localStorage.getItem("reportgen-theme"); } catch { /* the system's */ }
if (kept_theme === "dark" || kept_theme === "light") setTheme(kept_theme);
theme.setAttribute("aria-pressed", String(isDark()));
theme.addEventListener("click", () => {
  setTheme(isDark() ? "light" : "dark");
  try { localStorage.setItem("reportgen-theme", root.dataset.theme); } catch { /* for this visit */ }
});
tools.append(find, heads, theme, note);
topbar.append(tools);
