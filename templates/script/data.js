// ---- what the page beyond reading does: it tells of single heads, links findings with cells, and changes the view
// The figures stay those of the report; only their cells are drawn anew, from the numbers embedded in the page.

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
if (data.alone) data.alone.loss = new Float32Array(await unpack(data.alone.loss, 4));
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
function ranked(block, task) {  // rank, which ties share, and percentile, of which they share the middle, of every head
  if (block.orders.has(task)) return block.orders.get(task);
  const sizes = Float64Array.from({ length: block.size }, (_, cell) => Math.abs(at(block, task, cell)));
  const order = Uint32Array.from(sizes.keys()).filter(cell => !Number.isNaN(sizes[cell]));
  order.sort((a, b) => sizes[b] - sizes[a] || a - b);
  const rank = new Uint32Array(block.size), percentile = new Float64Array(block.size).fill(NaN);
  for (let i = 0, j; i < order.length; i = j) {
    for (j = i; j < order.length && sizes[order[j]] === sizes[order[i]]; j++) rank[order[j]] = i + 1;
    for (let k = i; k < j; k++) percentile[order[k]] = 100 * (1 - (i + j - 1) / 2 / order.length);
  }
  const made = { rank, percentile, n: order.length, largest: order.length ? sizes[order[0]] : 0 };
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
