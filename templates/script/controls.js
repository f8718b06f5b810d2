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
const details = make("details", {}, make("summary", {}, "View"), form);
find.after(make("section", { class: "view", "aria-label": "View of the maps" }, details));
document.body.append(readout, card);
status.textContent = "The report’s own view.";
follow();
// The ranks of each map are sorted while there is nothing else to do, so that the first head pointed at is told at once.
const soon = window.requestIdleCallback ?? (work => setTimeout(work, 20));
const unsorted = data.blocks.flatMap(block => data.tasks.map((_, task) => [block, task]));
function sortNext() {
  if (!unsorted.length) return;
  ranked(...unsorted.shift());
  soon(sortNext);
}
number(1000.5);  // loads what the browser writes numbers with
soon(sortNext);
document.documentElement.dataset.ready = "yes";
